#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# files.sh - the example that serves files, beside nginx: the same statuses,
# fields and bytes for the same requests, and an edited file under load.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
root=$scratch/root
out=$scratch/out

# ---- What is served ----

chmod 755 "$scratch"
mkdir -p "$root/dir" "$root/empty" "$root/.dir" "$out"
head -c 4096 /dev/urandom >"$root/small.bin"
head -c 3000000 /dev/urandom >"$root/large.bin"
: >"$root/nothing.txt"
echo '<p>index' >"$root/dir/index.html"
echo text >"$root/a b.txt"
seq 1000 >"$root/page.js"
gzip -k "$root/page.js"
ln -s small.bin "$root/link"
ln -s /etc "$root/etc"
echo hidden >"$root/.hidden"
touch -d '2020-01-01 00:00:00 UTC' "$root"/*.* "$root/dir/index.html"

# ---- The servers ----

starts_files() {
	fresh_port
	ours_port=$port
	starts files env "FILES_ROOT=$root" "$B/bin/files" -r 1 \
	    -l "127.0.0.1:$port" && ours=$pid
}

starts_nginx() {
	fresh_port
	theirs_port=$port
	cat >"$scratch/nginx.conf" <<-CONF
		worker_processes 1;
		daemon off;
		pid $scratch/nginx.pid;
		events { worker_connections 64; }
		http {
			types {
				text/html html;
				text/plain txt;
				text/javascript js;
				application/octet-stream bin;
			}
			access_log off;
			sendfile on;
			disable_symlinks on;
			gzip_static on;
			gzip_vary on;
			absolute_redirect off;
			if_modified_since before;
			max_ranges 16;
			client_body_temp_path $scratch/t1;
			proxy_temp_path $scratch/t2;
			fastcgi_temp_path $scratch/t3;
			uwsgi_temp_path $scratch/t4;
			scgi_temp_path $scratch/t5;
			server {
				listen 127.0.0.1:$port;
				root $root;
				location ~ /\\. { return 404; }
			}
		}
	CONF
	begins nginx nginx -e stderr -c "$scratch/nginx.conf"
	until_it 200 listens "$port"
}

# ---- The same request to both ----

# ask NAME PORT PATH OPTIONS...: status and fields in out/NAME.head, the body
# in out/NAME.body.
ask() {
	local name=$1 at=$2 path=$3
	shift 3
	timeout 30 curl -s --path-as-is -D "$out/$name.raw" \
	    -o "$out/$name.body" "$@" "http://127.0.0.1:$at$path" || return 1
	# Boundaries differ, and so do the bodies of errors.
	tr -d '\r' <"$out/$name.raw" | sed -n \
	    's/boundary=.*/boundary/; 1s/^HTTP\/1.1 \([0-9]*\).*/\1/p
	    /^Content-Range:/p; /^Location:/p
	    /^Content-Encoding:/p; /^Vary:/p' | sort >"$out/$name.head"
	# nginx has HTML for errors, and says nothing of the file then.
	grep -qE '^(200|206|304)' "$out/$name.head" || return 0
	tr -d '\r' <"$out/$name.raw" | grep -E "^Last-Modified:" \
	    >>"$out/$name.head"
	! grep -qx 304 "$out/$name.head" || return 0
	tr -d '\r' <"$out/$name.raw" | grep -E "^Content-Type:" |
	    sed 's/boundary=.*/boundary/' >>"$out/$name.head"
}

# The parts of a multipart body have the boundary in them.
plain_body() {
	if grep -q multipart "$out/$1.head"; then
		local boundary
		boundary=$(tr -d '\r' <"$out/$1.raw" |
		    sed -n 's/.*boundary=//p')
		sed "s/$boundary/BOUNDARY/" "$out/$1.body"
	else
		cat "$out/$1.body"
	fi
}

same() {	# same PATH OPTIONS...
	ask ours "$ours_port" "$@" && ask theirs "$theirs_port" "$@" ||
	    return 1
	diff "$out/theirs.head" "$out/ours.head" || return 1
	grep -qE '^(200|206)' "$out/ours.head" || return 0
	[[ " $* " != *" -I "* ]] || return 0
	plain_body ours >"$out/ours.plain"
	plain_body theirs >"$out/theirs.plain"
	cmp "$out/theirs.plain" "$out/ours.plain"
}

all_same() {	# each line of the input: PATH OPTIONS...
	local line count=0
	while IFS= read -r line; do
		local words=()
		eval "words=($line)"
		if ! same "${words[@]}"; then
			echo "differs: $line"
			return 1
		fi
		count=$((count + 1))
	done
	[ "$count" -gt 0 ]
}

files_are_the_same() {
	all_same <<-'LIST'
		/small.bin
		/large.bin
		/nothing.txt
		/a%20b.txt
		/%61%20b.txt?query=1
		/dir/
		/dir//index.html
		/dir/../small.bin
		/dir/./index.html
		/small.bin -I
		/page.js
		/page.js -H 'Accept-Encoding: gzip'
		/page.js -H 'Accept-Encoding: gzip;q=0'
	LIST
}

refusals_are_the_same() {
	all_same <<-'LIST'
		/none
		/none/
		/dir
		/dir?a=b
		/empty/
		/small.bin/
		/small.bin/x
		/.hidden
		/.dir/x
		/../etc/passwd
		/%2e%2e/etc/passwd
		/dir/../../etc/passwd
		/small%00.bin
		/small%
		/small.bin -X POST -d x
		/small.bin -X DELETE
	LIST
}

ranges_are_the_same() {
	local file range
	for file in small.bin large.bin nothing.txt; do
		for range in 0-0 0- 5-9 4095-4095 4095- 4096- 5000-6000 -1 \
		    -0 -5000000 0-1,3-4 0-1,5000000-,7-9 -1,0-0 9-5 x 5 '' \
		    '0-1, 3-4' 0-4095,0-4095 \
		    0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32; do
			echo "/$file -H 'Range: bytes=$range'"
		done
	done | all_same
}

# What each calls the file is its own; nginx has 412 for an If-Unmodified-Since
# that is no date, which is to be ignored.
conditions_are_the_same() {
	local path date
	for path in /small.bin /large.bin; do
		for date in 'Wed, 01 Jan 2020 00:00:00 GMT' \
		    'Tue, 31 Dec 2019 23:59:59 GMT' \
		    'Wed, 01 Jan 2020 00:00:01 GMT' never; do
			echo "$path -H 'If-Modified-Since: $date'"
			[ "$date" = never ] ||
			    echo "$path -H 'If-Unmodified-Since: $date'"
			echo "$path -r 0-9 -H 'If-Range: $date'"
		done
		for tag in '"x"' '"x", "y"' 'W/"x"' '*'; do
			echo "$path -H 'If-None-Match: $tag'"
			echo "$path -H 'If-Match: $tag'"
		done
	done | all_same
}

# Other than nginx, which says 403, or follows a directory.
links_are_not_served() {
	local path
	for path in /link /etc/passwd /etc/ /dir%2findex.html \
	    '/..\etc\passwd' /..%5cetc/passwd /..%2f..%2fetc/passwd; do
		ask ours "$ours_port" "$path" || return 1
		grep -qx 404 "$out/ours.head" || {
			echo "$path"
			return 1
		}
	done
}

own_tags_hold() {
	local tag
	ask ours "$ours_port" /small.bin || return 1
	tag=$(tr -d '\r' <"$out/ours.raw" | sed -n 's/^ETag: //p')
	[ -n "$tag" ] &&
	    ask ours "$ours_port" /small.bin -H "If-None-Match: $tag" &&
	    grep -qx 304 "$out/ours.head" &&
	    ask ours "$ours_port" /small.bin -H "If-Match: $tag" &&
	    grep -qx 200 "$out/ours.head"
}

is_edited() {
	[ "$(curl -s "http://127.0.0.1:$ours_port/a%20b.txt")" = edited ]
}

edits_are_seen() {	# within the second of the default, and some
	echo edited >"$scratch/new"
	mv "$scratch/new" "$root/a b.txt"
	until_it 200 is_edited
}

drains() {
	ends "$ours" && [ "$(wc -l <"$scratch/files")" -eq 1 ]
}

needs curl nginx
claim "the example of files starts" starts_files
claim "nginx starts" starts_nginx
claim "files are served as nginx serves them" files_are_the_same
claim "what nginx refuses is refused in the same way" refusals_are_the_same
claim "ranges are those of nginx" ranges_are_the_same
claim "conditions are those of nginx" conditions_are_the_same
claim "links, and slashes that are hidden, lead nowhere" links_are_not_served
claim "its own entity tags hold" own_tags_hold
claim "a replaced file is seen" edits_are_seen
claim "it drains" drains
[ $failed -eq 0 ]
