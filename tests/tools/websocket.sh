#!/usr/bin/env bash
# websocket.sh - npm's ws and socket.io get on with each other through the
# example of a proxy: `make websocket`, which takes them from npm's registry, to
# a folder of $B (build).
#
# Only processes that were started here are ended, by their pids.
set -u
cd "$(dirname "$0")/../.." || exit 1
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
B=${B:-build}
modules=$B/websocket
children=()
failed=0
scratch=$(mktemp -d) || exit 1

finish() {
	local child
	for child in "${children[@]}"; do
		kill -9 "$child" 2>/dev/null
	done
	wait 2>/dev/null
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! command -v npm >/dev/null; then
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

# until_it FILE: it has a line.
until_it() {
	local tries=400
	while ! grep -q . "$1" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.05
	done
}

# proxy_to PORT: sets port to that of a proxy.
port=$((20000 + RANDOM % 10000))
proxy_to() {
	port=$((port + 1))
	PROXY_ORIGIN=127.0.0.1:$1 "$B/bin/proxy" -r 1 -l "127.0.0.1:$port" \
	    >"$scratch/proxy.$1" 2>&1 </dev/null &
	children+=($!)
	until_it "$scratch/proxy.$1"
}

claim() {	# claim TEXT SCRIPT PORT FORWARDED-FOR
	if NODE_PATH=$PWD/$modules/node_modules node "$scratch/$2" "$3" "$4" \
	    >"$scratch/said" 2>&1; then
		echo "ok $1"
	else
		echo "FAILED $1"
		sed 's/^/    /' "$scratch/said"
		failed=1
	fi
}

NODE_PATH=$PWD/$modules/node_modules node "$scratch/servers.js" \
    >"$scratch/ports" 2>&1 &
children+=($!)
until_it "$scratch/ports" || { cat "$scratch/ports"; exit 1; }
read -r plain rooms <"$scratch/ports"
claim "ws, without a proxy between" ws.js "$plain" undefined
proxy_to "$plain"
claim "ws" ws.js $port 127.0.0.1
claim "socket.io, without a proxy between" io.js "$rooms" ""
proxy_to "$rooms"
claim "socket.io: long polling, and then a WebSocket" io.js $port ""
exit $failed
