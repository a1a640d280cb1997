# SPDX-License-Identifier: MIT
# report.awk - the tables of bench.sh, from its results: lines of
#	REPETITION CELL SERVER KEY=VALUE...
# ratios=FILE of the variables: where chart.awk's lines go (see ratios.txt).
# refused=REASON takes the rest of its line. Ratios are taken within a
# repetition, where the limit program and the server ran right after one
# another; the medians are over the repetitions.

BEGIN {
	saturated = 0.90	# busy share of a core that counts as all of it
	disturbance = 0.15	# of a core, used by others
}

{
	rep = $1
	cell = $2
	server = $3
	if (!((cell, server) in seen)) {
		seen[cell, server] = 1
		if (!(cell in cell_known)) {
			cell_known[cell] = 1
			cells[++cell_count] = cell
		}
	}
	if (rep > reps)
		reps = rep
	if ($4 ~ /^refused=/) {
		sub(/^.*refused=/, "")
		refuse(cell, server, $0)
		next
	}
	delete now
	for (i = 4; i <= NF; i++) {
		split($i, pair, "=")
		now[pair[1]] = pair[2]
	}
	if (now["errs"] > 0)
		refuse(cell, server, now["errs"] " errors")
	else if (now["stalled"] > 0 && now["other"] <= disturbance)
		refuse(cell, server, now["stalled"] " connections stalled")
	# Who does not get a CPU cannot answer: no fault of the server's.
	if (now["stalled"] > 0)
		next
	for (key in now)
		value[rep, cell, server, key] = now[key]
}

function refuse(a_cell, a_server, why) {
	if ((a_cell, a_server) in refused)
		return
	refused[a_cell, a_server] = 1
	notes[++note_count] = a_server " at " a_cell ": refused: " why
}

# Median of list[1..n].
function median(list, n,    i, j, v) {
	for (i = 2; i <= n; i++) {
		v = list[i]
		for (j = i - 1; j >= 1 && list[j] > v; j--)
			list[j + 1] = list[j]
		list[j + 1] = v
	}
	if (n == 0)
		return 0
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

# Was a measurement left alone by others?
function quiet(r, a_cell, a_server) {
	return value[r, a_cell, a_server, "other"] <= disturbance
}

# Over the repetitions that were left alone, or else, if there are none, over
# all of them.
function median_of(a_cell, a_server, key,    any, r, n, list) {
	n = 0
	for (any = 0; any <= 1 && n == 0; any++) {
		for (r = 1; r <= reps; r++) {
			if ((r, a_cell, a_server, key) in value &&
			    (any || quiet(r, a_cell, a_server)))
				list[++n] = value[r, a_cell, a_server, key]
		}
	}
	return median(list, n)
}

function ratio_of(a_cell, a_server, key,    any, r, n, list, base) {
	n = 0
	for (any = 0; any <= 1 && n == 0; any++) {
		for (r = 1; r <= reps; r++) {
			base = value[r, a_cell, "limit", key] + 0
			if (base > 0 && (r, a_cell, a_server, key) in value &&
			    (any || (quiet(r, a_cell, a_server) &&
				quiet(r, a_cell, "limit"))))
				list[++n] = \
				    value[r, a_cell, a_server, key] / base
		}
	}
	return median(list, n)
}

# Was there a repetition in which it and the limit program were left alone?
function ever_quiet(a_cell, a_server,    r) {
	for (r = 1; r <= reps; r++) {
		if ((r, a_cell, a_server, "rps") in value &&
		    quiet(r, a_cell, a_server) && quiet(r, a_cell, "limit"))
			return 1
	}
	return 0
}

# What must be known to read a cell right.
function mark(a_cell, a_server,    busy, load) {
	if (!ever_quiet(a_cell, a_server))
		return "o"
	busy = median_of(a_cell, a_server, "srv_busy")
	load = median_of(a_cell, a_server, "cli_busy")
	if (a_cell ~ /[+]one$/)	# they share a core
		busy += load
	if (busy >= saturated)
		return " "
	return load >= saturated ? "g" : "*"
}

function commas(number,    text, head) {
	text = sprintf("%.0f", number)
	head = ""
	while (length(text) > 3) {
		head = "," substr(text, length(text) - 2) head
		text = substr(text, 1, length(text) - 3)
	}
	return text head
}

function entry(a_cell, a_server, key,    ratio) {
	if ((a_cell, a_server) in refused)
		return "refused "
	ratio = ratio_of(a_cell, a_server, key)
	if (ratio == 0)
		return "- "
	return sprintf("%.2f%s", ratio, mark(a_cell, a_server))
}

# Of these servers, those with a result in a matching cell. How many.
function measured(pattern, servers, column,    n, all, i, j, kept) {
	n = split(servers, all, " ")
	kept = 0
	for (i = 1; i <= n; i++) {
		for (j = 1; j <= cell_count; j++) {
			if (cells[j] ~ pattern && (cells[j], all[i]) in seen) {
				column[++kept] = all[i]
				break
			}
		}
	}
	return kept
}

# One table: the cells that match, and the servers other than the limit.
function print_ratios(title, pattern, servers,    n, column, i, j, c, shown) {
	n = measured(pattern, servers, column)
	for (i = 1; i <= cell_count; i++) {
		c = cells[i]
		if (c !~ pattern)
			continue
		if (!shown++) {
			print ""
			print title
			printf "%-12s %-5s %8s    ", "", "", "limit"
			for (j = 1; j <= n; j++)
				printf " %8s ", column[j]
			print ""
		}
		printf "%-12s %-5s %8.2f%s us", c, "CPU",
		    median_of(c, "limit", "cpu_us"), mark(c, "limit")
		for (j = 1; j <= n; j++)
			printf " %9s", entry(c, column[j], "cpu_us")
		printf "\n%-12s %-5s %9s/s ", "", "rate",
		    commas(median_of(c, "limit", "rps"))
		for (j = 1; j <= n; j++)
			printf " %9s", entry(c, column[j], "rps")
		print ""
	}
}

function print_latency(servers,    n, row, i, s, shown) {
	n = split(servers, row, " ")
	for (i = 1; i <= n; i++) {
		s = row[i]
		if (!(("latency", s) in seen))
			continue
		if (!shown++) {
			print ""
			print "One busy connection (+spin: the server polls " \
			    "for up to " spin_us " us before it sleeps)"
			printf "%-12s %9s %9s %10s %10s %9s\n", "", "p50 us",
			    "p99 us", "requests/s", "CPU us", "p50 ratio"
		}
		if (("latency", s) in refused) {
			printf "%-12s %9s\n", s, "refused"
			continue
		}
		printf "%-12s %9.1f %9.1f %10s %10.2f %9.2f\n", s,
		    median_of("latency", s, "p50_us"),
		    median_of("latency", s, "p99_us"),
		    commas(median_of("latency", s, "rps")),
		    median_of("latency", s, "cpu_us"),
		    ratio_of("latency", s, "p50_us")
	}
}

function print_idle(servers,    n, row, i, s, shown, before, after, count) {
	n = split(servers, row, " ")
	for (i = 1; i <= n; i++) {
		s = row[i]
		if (!(("idle", s) in seen))
			continue
		if (!shown++) {
			print ""
			print "Idle connections (codec: each has a fiber; " \
			    "codec+g: it gives its stack back)"
			printf "%-12s %11s %15s %13s\n", "", "connections",
			    "RSS KiB, none", "bytes each"
		}
		if (("idle", s) in refused) {
			printf "%-12s %11s\n", s, "refused"
			continue
		}
		before = value[1, "idle", s, "rss_before"]
		after = value[1, "idle", s, "rss_after"]
		count = value[1, "idle", s, "connections"]
		printf "%-12s %11d %15s %13s\n", s, count, commas(before),
		    commas((after - before) * 1024 / count)
	}
}

# Those of which no repetition could be used.
function refuse_the_rest(    pair, part, r, found) {
	for (pair in seen) {
		split(pair, part, SUBSEP)
		found = part[1] == "idle"
		for (r = 1; r <= reps; r++)
			found = found || (r, part[1], part[2], "rps") in value
		if (!found)
			refuse(part[1], part[2], "others had the CPUs")
	}
}

# Lines for chart.awk, of the cells with a limit.
function write_ratios(servers,    n, all, i, j, c, limit) {
	n = split(servers, all, " ")
	for (i = 1; i <= cell_count; i++) {
		c = cells[i]
		limit = median_of(c, "limit", "cpu_us")
		if (c !~ /\// || limit == 0)
			continue
		printf "%s limit %.2f\n", c, limit > ratios
		for (j = 1; j <= n; j++)
			if ((c, all[j]) in seen && !((c, all[j]) in refused) &&
			    ratio_of(c, all[j], "cpu_us") > 0)
				printf "%s %s %.2f\n", c, all[j],
				    ratio_of(c, all[j], "cpu_us") > ratios
	}
	close(ratios)
}

END {
	refuse_the_rest()
	if (ratios != "")
		write_ratios("raw codec hello echo liburing epoll libuv " \
		    "libevent nginx")
	print_ratios("HTTP, connections/pipelined requests, and churn; " \
	    "relative to the limit program", "^[0-9c]",
	    "raw raw+unseen codec hello liburing epoll libuv libevent nginx")
	print_ratios("Echo of messages of so many bytes, 64 connections; " \
	    "relative to the limit program", "^echo",
	    "echo liburing epoll libuv libevent")
	print_latency("limit raw raw+spin codec codec+spin hello liburing epoll " \
	    "libuv libevent nginx")
	print_idle("limit codec codec+g hello liburing epoll libuv libevent " \
	    "nginx")
	print ""
	print "CPU: of the server, per request (lower is better); rate: " \
	    "requests per second (higher is better)."
	print "* the server's core was not saturated: its rate is not its " \
	    "limit; g the generator's was;"
	print "o others used more than " disturbance " of a core " \
	    "in every repetition (those are left out where not)"
	for (i = 1; i <= note_count; i++)
		print notes[i]
}
