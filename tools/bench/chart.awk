# SPDX-License-Identifier: MIT
# chart.awk - draw ratios of bench.sh as an SVG: a panel for each cell, a bar
# for each server, beside a line where the limit program is. It reads what
# ratios.txt describes. Of the cells with both programs on one CPU ("+one"),
# whose figures vary least, or of all cells if there are none of those.

/^#/ { next }
$1 == "machine" || $1 == "kernel" || $1 == "commit" {
	key = $1
	sub(/^[a-z]+ /, "")
	about[key] = $0
	next
}
NF == 3 {
	if (!($1 in panel_of)) {
		panel_of[$1] = ++panels
		cell_of[panels] = $1
		shared += $1 ~ /[+]one$/
	}
	n = ++bars[$1]
	server[$1, n] = $2
	ratio[$1, n] = $3
}

function escaped(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	return text
}

function words(x, y, class, text) {
	printf "<text%s x=\"%d\" y=\"%d\">%s</text>\n",
	    class == "" ? "" : " class=\"" class "\"", x, y, escaped(text)
}

# "64/16+one" in words.
function cell_name(cell,	part) {
	sub(/[+].*/, "", cell)
	split(cell, part, "/")
	if (part[1] == "echo")
		return "echo of " part[2] " bytes"
	if (part[1] == "churn")
		return "connect, one request, close"
	return part[1] " connections" (part[2] > 1 ? ", " part[2] \
	    " requests pipelined" : "")
}

function server_name(name) {
	return name == "raw" || name == "codec" || name == "hello" || \
	    name == "echo" ? name " on torc" : name
}

# A bar ends at twice the limit; a longer one is cut, and its figure says so.
function bar(x, y, name, value,	width, class) {
	width = (value > 2.2 ? 2.2 : value) * 100
	class = server_name(name) != name ? "torc" : "other"
	words(x, y + 11, "", server_name(name))
	printf "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.0f\" " \
	    "height=\"13\"/>\n", class, x + 104, y, width
	if (value > 2.2)
		printf "<path class=\"page\" d=\"M%d %d l8 -17 h6 l-8 17z\"/>\n",
		    x + 104 + 180, y + 15
	words(x + 104 + width + 5, y + 11, "", \
	    value >= 10 ? sprintf("%.0f", value) : sprintf("%.2f", value))
}

function draw_panel(cell, x, y,	i, row) {
	row = 0
	words(x, y + 12, "name", cell_name(cell))
	for (i = 1; i <= bars[cell]; i++) {
		if (server[cell, i] == "limit") {
			words(x, y + 29, "small", "limit: " ratio[cell, i] \
			    " us a request")
			continue
		}
		bar(x, y + 38 + 18 * row++, server[cell, i], ratio[cell, i])
	}
	printf "<path class=\"limit\" d=\"M%d %dV%d\"/>\n", x + 204, y + 34,
	    y + 38 + 18 * row
}

function style() {
	print "<style>"
	print ".page { fill: #ffffff } .frame { stroke: #d0d7de }"
	print "text { fill: #1f2328; font: 12px sans-serif }"
	print ".name { font-weight: bold; font-size: 13px }"
	print ".small { fill: #57606a }"
	print ".torc { fill: #1a6fd0 } .other { fill: #a8b3c0 }"
	print ".limit { stroke: #b3541e; stroke-dasharray: 3 2 }"
	print "@media (prefers-color-scheme: dark) {"
	print ".page { fill: #0d1117 } .frame { stroke: #30363d }"
	print "text { fill: #e6edf3 } .small { fill: #9da7b3 }"
	print ".torc { fill: #4a94ea } .other { fill: #5b6675 }"
	print ".limit { stroke: #f0955f }"
	print "}"
	print "</style>"
}

END {
	shown = 0
	most = 0
	for (i = 1; i <= panels; i++) {
		if (shared && cell_of[i] !~ /[+]one$/)
			continue
		list[++shown] = cell_of[i]
		if (bars[cell_of[i]] > most)
			most = bars[cell_of[i]]
	}
	high = 50 + 18 * most
	height = 62 + high * int((shown + 1) / 2) + 30
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 " \
	    "%d\" width=\"760\" height=\"%d\" role=\"img\" " \
	    "aria-labelledby=\"title\">\n", height, height
	print "<!-- SPDX-License-Identifier: MIT -->"
	title = "CPU of a server per request, relative to a bare ring"
	print "<title id=\"title\">" title "</title>"
	style()
	printf "<rect class=\"page frame\" x=\"0.5\" y=\"0.5\" width=\"759\" " \
	    "height=\"%d\" rx=\"8\"/>\n", height - 1
	words(24, 28, "name", title)
	words(24, 46, "small", "Shorter is better. The dashed line, 1.00, is " \
	    "a responder that is nothing but io_uring.")
	for (i = 1; i <= shown; i++)
		draw_panel(list[i], i % 2 ? 24 : 392,
		    62 + high * int((i - 1) / 2))
	words(24, height - 14, "small", about["machine"] "; " \
	    about["kernel"] "; commit " about["commit"])
	print "</svg>"
}
