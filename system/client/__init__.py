"""The headless measuring client, and the helper processes that host many of them.

::

    client     RemoteRenderClient: the browser client's API in snake_case, measured
    join       phases of a join (pure)
    meter      what a viewer experienced (pure)
    inputs     what a viewer does, from a seed (pure)
    host       python -m system.client.host: many clients in one asyncio process
    hosts      the other end of its pipe, without asyncio
    hostproto  what passes through that pipe
"""
