"""WebRTC for workers and headless clients: the one place with private aiortc/aioice hooks.

::

    ice          which addresses are gathered, which remote ones are refused (pure)
    link         sockets, candidates and round trips of one peer connection
    peer         a peer connection that cannot hang, leak, or gather what it must not
    description  SDP and candidates from a peer, checked
    packets      encoded frames to RTP payloads and back (pure)
    sender       one encoded video stream, sent
    assembler    packets to frames, with NACK and PLI decisions (pure)
    counters     what a receiver counts (pure)
    receiver     one encoded video stream, received and not decoded
    impair       delay and loss per connection, in user space

What is private in aiortc 1.16 and aioice 0.13 and used here is pinned, name by
name, by ``tests/unit/rtc/test_rtc_contract.py``.
"""
