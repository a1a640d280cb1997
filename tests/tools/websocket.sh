#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# websocket.sh - npm's ws and socket.io get on with each other through the
# example of a proxy: `make websocket`, which takes them from npm's registry, to
# a folder of $B (build).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
modules=$B/websocket

if ! has npm; then
	echo "SKIP: WebSocket: npm is not installed"
	exit 0
fi
mkdir -p "$modules" &&
    npm install --silent --no-audit --no-fund --prefix "$modules" \
    ws@8 socket.io@4 socket.io-client@4 || exit 1

# Servers of both on free ports, which are printed.
cat >"$scratch/servers.js" <<'END'
const http = require('http'), ws = require('ws'), io = require('socket.io');
const plain = http.createServer(), rooms = http.createServer();
new ws.WebSocketServer({ server: plain }).on('connection', (socket, request) => {
	socket.send('hello ' + request.headers['x-forwarded-for']);
	socket.on('message', (data, binary) => socket.send(data, { binary }));
});
new io.Server(rooms).on('connection', (socket) => {
	socket.on('ask', (text, answer) => answer(text.toUpperCase()));
	socket.on('all', (text) => socket.nsp.emit('all', text));
	socket.conn.on('upgrade', () => socket.emit('upgraded'));
});
plain.listen(0, '127.0.0.1', () => rooms.listen(0, '127.0.0.1', () =>
	console.log(plain.address().port, rooms.address().port)));
END

# Small, large and binary messages, many at once, a ping, an orderly end.
cat >"$scratch/ws.js" <<'END'
const assert = require('assert'), crypto = require('crypto');
const WebSocket = require('ws');
const socket = new WebSocket('ws://127.0.0.1:' + process.argv[2] + '/chat');
const sent = ['a', crypto.randomBytes(3000000), Buffer.alloc(0)];
for (let i = 0; i < 1000; i++) sent.push('message ' + i);
let got = -1;
socket.on('open', () => sent.forEach((data) => socket.send(data)));
socket.on('message', (data, binary) => {
	if (got < 0) {
		assert.equal(data.toString(), 'hello ' + process.argv[3]);
	} else {
		assert.equal(binary, Buffer.isBuffer(sent[got]));
		assert.ok(data.equals(Buffer.from(sent[got])));
	}
	if (++got === sent.length) socket.ping('are you there');
});
socket.on('pong', (data) => {
	assert.equal(data.toString(), 'are you there');
	socket.close(1000, 'done');
});
socket.on('close', (code, reason) => {
	assert.equal(code, 1000);
	process.exit(0);
});
setTimeout(() => process.exit(1), 20000);
END

# Long polling first, and then a WebSocket, as browsers do it; two at once.
cat >"$scratch/io.js" <<'END'
const assert = require('assert'), { io } = require('socket.io-client');
const open = () => io('http://127.0.0.1:' + process.argv[2]);
const first = open(), second = open();
let answers = 0, heard = 0;
for (const socket of [first, second]) {
	socket.on('upgraded', () => socket.emit('ask', 'quietly', (text) => {
		assert.equal(text, 'QUIETLY');
		if (++answers === 2) first.emit('all', 'to all');
	}));
	socket.on('all', (text) => {
		assert.equal(text, 'to all');
		if (++heard === 2) process.exit(0);
	});
}
setTimeout(() => process.exit(1), 20000);
END

# proxy_to PORT: sets port to that of a proxy.
proxy_to() {
	fresh_port
	starts "proxy.$1" env "PROXY_ORIGIN=127.0.0.1:$1" "$B/bin/proxy" -r 1 \
	    -l "127.0.0.1:$port"
}

runs() {	# runs SCRIPT ARGUMENT...
	NODE_PATH=$PWD/$modules/node_modules node "$scratch/$1" "${@:2}"
}

begins ports env NODE_PATH="$PWD/$modules/node_modules" node \
    "$scratch/servers.js"
until_it 400 grep -q . "$scratch/ports" || exit 1
read -r plain rooms <"$scratch/ports"
claim "ws, without a proxy between" runs ws.js "$plain" undefined
claim "a proxy starts for it" proxy_to "$plain"
claim "ws" runs ws.js $port 127.0.0.1
claim "socket.io, without a proxy between" runs io.js "$rooms"
claim "another proxy starts" proxy_to "$rooms"
claim "socket.io: long polling, and then a WebSocket" runs io.js $port
[ $failed -eq 0 ]
