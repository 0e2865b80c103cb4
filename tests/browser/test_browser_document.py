"""A browser client of the first version of the protocol, which knows less than ours.

It offers as soon as its socket is open, with a null session id and no negotiation, opens the
channel ``input`` alone, numbers no input and says nothing of edits.
"""

from __future__ import annotations

from browser_page import until
from conftest import OpenPage

from system.media.project import Project

OLD_CLIENT = """async ([url, source, target]) => {
  const old = { acks: [], states: [], created: null, sessionId: null }
  globalThis.old = old
  const peer = (old.peer = new RTCPeerConnection({ iceServers: [], bundlePolicy: 'max-bundle' }))
  const input = (old.input = peer.createDataChannel('input', {
    ordered: false,
    maxRetransmits: 0,
  }))
  const socket = new WebSocket(url)
  const say = (message) =>
    socket.send(JSON.stringify({ ...message, sessionId: old.sessionId }))
  peer.ontrack = ({ streams }) => {
    const video = document.querySelector('video')
    video.srcObject = streams[0]
    video.play()
  }
  peer.onicecandidate = ({ candidate }) => {
    if (candidate) say({ type: 'ice-candidate', candidate })
  }
  input.onmessage = ({ data }) => old.states.push(JSON.parse(data))
  socket.onmessage = async ({ data }) => {
    const message = JSON.parse(data)
    if (message.type === 'session-created') old.sessionId = message.sessionId
    if (message.type === 'answer') {
      await peer.setRemoteDescription(new RTCSessionDescription(message.sdp))
    }
    if (message.type === 'ice-candidate' && message.candidate) {
      await peer.addIceCandidate(new RTCIceCandidate(message.candidate))
    }
    if (message.type === 'error') old.error = message.error
  }
  await new Promise((open) => (socket.onopen = open))
  const offer = await peer.createOffer({ offerToReceiveVideo: true, offerToReceiveAudio: false })
  await peer.setLocalDescription(offer)
  say({ type: 'offer', sdp: offer })
  await new Promise((open) => (input.onopen = open))
  const send = (type, data) => input.send(JSON.stringify({ type, timestamp: Date.now(), data }))
  send('camera:orbit', { deltaX: 10, deltaY: 0 })
  send('device:click', { deviceId: source, screenX: 0, screenY: 0 })
  send('connection:create', { sourceDeviceId: source, targetDeviceId: target, type: 'data' })
}"""


async def test_it_gets_video_and_its_inputs_and_edits_count(open_page: OpenPage) -> None:
    tab = await open_page(project="old", autoconnect="off")
    host = tab.page.url.split("/")[2]
    source, target, *_ = Project.default("old").devices
    await tab.page.evaluate(
        OLD_CLIENT, [f"ws://{host}?userId=user_123&projectId=old", source, target]
    )
    began = await tab.frames()

    async def plays() -> bool:
        return await tab.frames() > began + 3

    await until(plays, 10, "no video")

    async def has_edited() -> bool:
        states = await tab.evaluate("old.states.filter(({ type }) => type === 'state')")
        digests = {state["state"]["project"] for state in states}
        return any(digest != Project.default("old").digest() for digest in digests)

    await until(has_edited, 5, "the edit was lost")
    kinds = set(await tab.evaluate("old.states.map(({ type }) => type)"))
    assert "device:selected" in kinds
    assert await tab.evaluate("old.error") is None
    watcher = await (await open_page(project="old")).connected()
    assert (await watcher.state())["project"] != Project.default("old").digest()
