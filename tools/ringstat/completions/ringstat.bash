# SPDX-License-Identifier: MIT
# bash completion for ringstat

_ringstat() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
	case $before in
	-p|--pid|--dump)
		mapfile -t COMPREPLY < <(cd /proc &&
		    compgen -W "$(printf '%s ' [0-9]*)" -- "$word")
		return ;;
	-u|--user)
		mapfile -t COMPREPLY < <(compgen -u -- "$word")
		return ;;
	-c|--comm|--cgroup)
		return ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "-p -c -u -x -e -o -t -m -w -j -H
	    -n -T -h --pid --comm --user --cgroup --extended --entries --polls
	    --threads --memory --conns --ops --handshakes --watch --json
    --openmetrics	    --check --explain --dump --raw --no-header --wide --numeric --timestamp
	    --no-map --help --version" -- "$word")
}
complete -F _ringstat ringstat
