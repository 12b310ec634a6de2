"""The receiver records what arrives and answers as it is told."""

from io import BytesIO

import aiohttp
import pytest

from conduit_local.receiver import Answer, Receiver


async def post(url: str, body: bytes | BytesIO = b"{}", **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_a_request_is_recorded_as_it_came() -> None:
    async with Receiver() as receiver:
        assert await post(receiver.url + "/mail", b'{"a": 1}', **{"webhook-id": "dlv_1"}) == 200
        (received,) = await receiver.wait_for(1, path="/mail")
    assert received.method == "POST"
    assert received.body == b'{"a": 1}'
    assert received.json() == {"a": 1}
    assert received.webhook_id == received.headers["Webhook-Id"] == "dlv_1"


async def test_answers_come_in_the_order_given_and_then_the_usual_one() -> None:
    async with Receiver() as receiver:
        receiver.answer(503, Answer(429, headers={"Retry-After": "1"}), path="/a")
        assert [await post(receiver.url + "/a") for _ in range(3)] == [503, 429, 200]
        receiver.always_answer(410, path="/a")
        assert [await post(receiver.url + path) for path in ("/a", "/a", "/b")] == [410, 410, 200]


async def test_closed_it_refuses_and_opened_again_it_has_its_port() -> None:
    receiver = Receiver()
    await receiver.open()
    url = receiver.url
    await receiver.close()
    with pytest.raises(aiohttp.ClientConnectionError):
        await post(url)
    await receiver.open()
    assert receiver.url == url
    assert await post(url) == 200
    await receiver.close()


async def test_waiting_in_vain_says_what_came() -> None:
    async with Receiver() as receiver:
        await post(receiver.url)
        with pytest.raises(TimeoutError, match="1 requests"):
            await receiver.wait_for(2, timeout=0.05)


async def test_a_large_body_is_taken() -> None:
    async with Receiver() as receiver:
        await post(receiver.url, BytesIO(b"x" * 5_000_000))
        assert len(receiver.requests[0].body) == 5_000_000
