# SPDX-License-Identifier: MIT
# order.awk - of the declarations of public headers, one a line ("FILE: TORC_API
# ...;"), those whose parameters are not in this order: the object, what goes
# in, what comes out, a deadline; an array before its count, bytes before their
# size. The name of the function comes first.

function is_bytes(p) {
	return p ~ /^(void|char|uint8_t) \*(data|memory|text|bytes)$/
}

function is_out(p) {
	return p ~ /\*\*[a-z_]+$/ || p ~ /^struct torc_slice \*/ ||
	    is_bytes(p) ||
	    p ~ /^(int|unsigned|int64_t|uint64_t|size_t|bool) \*[a-z_]+$/
}

function is_size(p) {
	return p ~ /^size_t (([a-z]+_)?size|room)$/
}

# What may stand behind what comes out.
function is_last(p) {
	return p ~ /^torc_deadline / || p == "..." || p ~ /^struct torc_error \*/
}

{
	text = $0
	sub(/^[^ ]* TORC_API /, "", text)
	# A callback among the parameters is one of them.
	gsub(/\([^()]*\)\([^()]*\)/, "callback", text)
	name = text
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
	sub(/^[^(]*\( */, "", text)
	sub(/\).*/, "", text)
	n = split(text, p, / *, */)
	out = 0
	for (i = 1; i <= n; i++) {
		before = i > 1 ? p[i - 1] : ""
		if (i > 2 && p[i] ~ /^unsigned ([a-z]+_)?(count|argc)$/ &&
		    before !~ /\*/)
			print name ": a count without its array before it"
		if (is_size(p[i]) && before !~ /[*\[]/ &&
		    text ~ /(void|char|uint8_t) \*(data|memory|text)/)
			print name ": a size without its bytes before it"
		if (p[i] ~ /(void|uint8_t) \*(data|memory)$/ &&
		    name !~ /_set_data$/ && !is_size(p[i + 1]))
			print name ": bytes without their size behind them"
		if (p[i] ~ /^torc_deadline deadline$/ && i < n &&
		    !(i == n - 1 && p[n] == "..."))
			print name ": a deadline that is not the last"
		if (i > 1 && is_out(p[i]) && name !~ /_set_data$/)
			out = i
		else if (out && !is_last(p[i]) &&
		    !(out == i - 1 && is_size(p[i])))
			print name ": what goes in (" p[i] \
			    ") behind what comes out (" p[out] ")"
	}
}
