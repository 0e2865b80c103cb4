// The browser client of the first version of the protocol, as it was written, bugs and all: its
// types are stripped, and its data channel no longer has both maxRetransmits and maxPacketLifeTime,
// which no browser takes. It must go on working against this server. Not used by anything else.
globalThis.DocumentClient = class RemoteRenderClient {
    config;
    peerConnection = null;
    dataChannel = null;
    websocket = null;
    sessionId = null;
    statsInterval = null;
    connected = false;
    constructor(config) {
        this.config = config;
    }
    async connect(userId, projectId) {
        try {
            // 1. Connect to signaling server
            await this.connectSignaling(userId, projectId);
            // 2. Create peer connection
            this.createPeerConnection();
            // 3. Create data channel for input
            this.createDataChannel();
            // 4. Create and send offer
            await this.createAndSendOffer();
            // 5. Start stats collection
            this.startStatsCollection();
        }
        catch (error) {
            this.config.onError?.(error);
            throw error;
        }
    }
    async connectSignaling(userId, projectId) {
        return new Promise((resolve, reject) => {
            const ws = new WebSocket(`${this.config.signalingServerUrl}?userId=${userId}&projectId=${projectId}`);
            ws.onopen = () => {
                console.log('[RemoteRenderClient] Signaling connected');
                this.websocket = ws;
                resolve();
            };
            ws.onerror = (error) => {
                console.error('[RemoteRenderClient] Signaling error:', error);
                reject(new Error('Failed to connect to signaling server'));
            };
            ws.onmessage = async (event) => {
                await this.handleSignalingMessage(JSON.parse(event.data));
            };
            ws.onclose = () => {
                console.log('[RemoteRenderClient] Signaling disconnected');
                this.handleDisconnect();
            };
        });
    }
    createPeerConnection() {
        const config = {
            iceServers: [
                ...(this.config.stunServers?.map(url => ({ urls: url })) || [
                    { urls: 'stun:stun.l.google.com:19302' },
                    { urls: 'stun:stun1.l.google.com:19302' }
                ]),
                ...(this.config.turnServers || [])
            ],
            iceTransportPolicy: 'all',
            bundlePolicy: 'max-bundle',
            rtcpMuxPolicy: 'require'
        };
        this.peerConnection = new RTCPeerConnection(config);
        // Handle incoming tracks (video stream)
        this.peerConnection.ontrack = (event) => {
            console.log('[RemoteRenderClient] Received track:', event.track.kind);
            if (event.track.kind === 'video') {
                this.config.videoElement.srcObject = event.streams[0];
                this.config.videoElement.play().catch(err => {
                    console.error('[RemoteRenderClient] Video play failed:', err);
                });
            }
        };
        // Handle ICE candidates
        this.peerConnection.onicecandidate = (event) => {
            if (event.candidate) {
                this.sendSignalingMessage({
                    type: 'ice-candidate',
                    candidate: event.candidate
                });
            }
        };
        // Handle connection state changes
        this.peerConnection.onconnectionstatechange = () => {
            const state = this.peerConnection?.connectionState;
            console.log('[RemoteRenderClient] Connection state:', state);
            if (state === 'connected') {
                this.connected = true;
                this.config.onConnected?.();
            }
            else if (state === 'disconnected' || state === 'failed' || state === 'closed') {
                this.handleDisconnect();
            }
        };
        // Handle ICE connection state
        this.peerConnection.oniceconnectionstatechange = () => {
            const state = this.peerConnection?.iceConnectionState;
            console.log('[RemoteRenderClient] ICE connection state:', state);
            if (state === 'failed') {
                // Restart ICE
                this.peerConnection?.restartIce();
            }
        };
    }
    createDataChannel() {
        if (!this.peerConnection) {
            throw new Error('Peer connection not initialized');
        }
        this.dataChannel = this.peerConnection.createDataChannel('input', {
            ordered: false, // Unordered for lowest latency
            maxRetransmits: 0 // No retransmits
        });
        this.dataChannel.onopen = () => {
            console.log('[RemoteRenderClient] Data channel opened');
        };
        this.dataChannel.onclose = () => {
            console.log('[RemoteRenderClient] Data channel closed');
        };
        this.dataChannel.onerror = (error) => {
            console.error('[RemoteRenderClient] Data channel error:', error);
        };
        this.dataChannel.onmessage = (event) => {
            // Handle messages from server (state updates, etc.)
            try {
                const message = JSON.parse(event.data);
                this.handleServerMessage(message);
            }
            catch (err) {
                console.error('[RemoteRenderClient] Failed to parse data channel message:', err);
            }
        };
    }
    async createAndSendOffer() {
        if (!this.peerConnection) {
            throw new Error('Peer connection not initialized');
        }
        const offer = await this.peerConnection.createOffer({
            offerToReceiveVideo: true,
            offerToReceiveAudio: false
        });
        await this.peerConnection.setLocalDescription(offer);
        this.sendSignalingMessage({
            type: 'offer',
            sdp: offer
        });
    }
    async handleSignalingMessage(message) {
        switch (message.type) {
            case 'session-created':
                this.sessionId = message.sessionId;
                console.log('[RemoteRenderClient] Session created:', this.sessionId);
                break;
            case 'answer':
                if (this.peerConnection) {
                    await this.peerConnection.setRemoteDescription(new RTCSessionDescription(message.sdp));
                    console.log('[RemoteRenderClient] Answer received');
                }
                break;
            case 'ice-candidate':
                if (this.peerConnection && message.candidate) {
                    await this.peerConnection.addIceCandidate(new RTCIceCandidate(message.candidate));
                }
                break;
            case 'error':
                console.error('[RemoteRenderClient] Signaling error:', message.error);
                this.config.onError?.(new Error(message.error));
                break;
        }
    }
    sendSignalingMessage(message) {
        if (this.websocket?.readyState === WebSocket.OPEN) {
            this.websocket.send(JSON.stringify({
                ...message,
                sessionId: this.sessionId
            }));
        }
        else {
            console.warn('[RemoteRenderClient] Websocket not ready, message dropped');
        }
    }
    handleServerMessage(message) {
        // Handle state updates, acknowledgments, etc.
        console.log('[RemoteRenderClient] Server message:', message);
    }
    startStatsCollection() {
        this.statsInterval = setInterval(async () => {
            if (!this.peerConnection || !this.connected)
                return;
            try {
                const stats = await this.peerConnection.getStats();
                const rtcStats = this.parseStats(stats);
                this.config.onStats?.(rtcStats);
            }
            catch (err) {
                console.error('[RemoteRenderClient] Failed to collect stats:', err);
            }
        }, 1000); // Collect every second
    }
    parseStats(stats) {
        let fps = 0;
        let rtt = 0;
        let packetsLost = 0;
        let bytesReceived = 0;
        let jitter = 0;
        let bitrate = 0;
        stats.forEach((report) => {
            if (report.type === 'inbound-rtp' && report.kind === 'video') {
                fps = report.framesPerSecond || 0;
                packetsLost = report.packetsLost || 0;
                bytesReceived = report.bytesReceived || 0;
                jitter = report.jitter || 0;
                // Calculate bitrate (bytes/sec to Mbps)
                const prevBytes = report.prevBytesReceived || 0;
                const prevTime = report.prevTimestamp || report.timestamp;
                const duration = (report.timestamp - prevTime) / 1000; // seconds
                if (duration > 0) {
                    bitrate = ((bytesReceived - prevBytes) * 8) / duration / 1_000_000; // Mbps
                }
                // Store for next calculation
                ;
                report.prevBytesReceived = bytesReceived;
                report.prevTimestamp = report.timestamp;
            }
            if (report.type === 'candidate-pair' && report.state === 'succeeded') {
                rtt = (report.currentRoundTripTime || 0) * 1000; // Convert to ms
            }
        });
        return { fps, rtt, packetsLost, bytesReceived, jitter, bitrate };
    }
    // Public API for sending input commands
    sendCameraOrbit(deltaX, deltaY) {
        this.sendInput({
            type: 'camera:orbit',
            timestamp: Date.now(),
            data: { deltaX, deltaY }
        });
    }
    sendCameraZoom(delta) {
        this.sendInput({
            type: 'camera:zoom',
            timestamp: Date.now(),
            data: { delta }
        });
    }
    sendDeviceClick(deviceId, screenX, screenY) {
        this.sendInput({
            type: 'device:click',
            timestamp: Date.now(),
            data: { deviceId, screenX, screenY }
        });
    }
    sendDeviceDrag(deviceId, position) {
        this.sendInput({
            type: 'device:drag',
            timestamp: Date.now(),
            data: { deviceId, position }
        });
    }
    sendConnectionCreate(sourceDeviceId, targetDeviceId, type) {
        this.sendInput({
            type: 'connection:create',
            timestamp: Date.now(),
            data: { sourceDeviceId, targetDeviceId, type }
        });
    }
    sendInput(command) {
        if (this.dataChannel?.readyState === 'open') {
            try {
                this.dataChannel.send(JSON.stringify(command));
            }
            catch (err) {
                console.error('[RemoteRenderClient] Failed to send input:', err);
            }
        }
        else {
            console.warn('[RemoteRenderClient] Data channel not ready, input dropped');
        }
    }
    handleDisconnect() {
        this.connected = false;
        this.config.onDisconnected?.();
        if (this.statsInterval) {
            clearInterval(this.statsInterval);
            this.statsInterval = null;
        }
    }
    disconnect() {
        console.log('[RemoteRenderClient] Disconnecting...');
        if (this.dataChannel) {
            this.dataChannel.close();
            this.dataChannel = null;
        }
        if (this.peerConnection) {
            this.peerConnection.close();
            this.peerConnection = null;
        }
        if (this.websocket) {
            this.websocket.close();
            this.websocket = null;
        }
        this.handleDisconnect();
    }
}
