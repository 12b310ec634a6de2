"""What can go wrong with the local stack.

StackError
├── PortTaken        another process has a port that the stack needs
├── NotReady         a program did not get ready in time, or gave up
├── AlreadyRunning   the data directory belongs to a running stack
└── NotRunning       there is no running stack in the data directory
"""


class StackError(Exception):
    """A failure with a message for the person at the keyboard."""


class PortTaken(StackError):
    """Another process has a port that the stack needs."""


class NotReady(StackError):
    """A program did not get ready in time, or gave up."""


class AlreadyRunning(StackError):
    """The data directory belongs to a running stack."""


class NotRunning(StackError):
    """There is no running stack in the data directory."""
