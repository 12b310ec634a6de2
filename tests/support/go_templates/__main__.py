"""Records Go's results anew."""

from tests.support.go_templates import files, record

for path in files():
    record(path)
    print(path.name)
