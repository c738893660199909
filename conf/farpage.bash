# SPDX-License-Identifier: BSD-3-Clause
# bash completion of farpage(1). All it offers it asks the command itself, so it is never behind it.

# Words that begin with $2 of those in $1.
_farpage_offer() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# What stands for itself in a usage, "set ALGORITHM | start": its words in lower case.
_farpage_words() {
    "$1" help "$2" 2>/dev/null | sed -n '/^usage:/,/^$/ { s/^usage: farpage [a-z]*//; p }' |
        grep -oE '\b[a-z][a-z-]+\b'
    [[ $2 != stats ]] || "$1" help stats 2>/dev/null | sed -n '/ With it:$/,/^[A-Z]/ { /^  /p }'
}

_farpage() {
    local command='' word i current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local farpage=${COMP_WORDS[0]}
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --server | --tls-ca | --tls-cert | --tls-key | --auth-file | --timeout) ((i++)) ;;
        -*) ;;
        *) command=$word && break ;;
        esac
    done
    if [[ $previous == --*(tls-ca|tls-cert|tls-key|auth-file) && $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    elif [[ $current == -* ]]; then
        _farpage_offer "$("$farpage" help $command 2>/dev/null | grep -oE '^  --[a-z-]+')" "$current"
    elif [[ -z $command || $command == help ]]; then
        _farpage_offer "$("$farpage" --help 2>/dev/null | sed -n '/^commands:/,/^$/p' |
            grep -oE '^  [a-z]+')" "$current"
    elif [[ $command =~ ^(store|load|verify|invalidate|advise|drain)$ ]] && ((i + 1 == COMP_CWORD)); then
        # An area's name: asked of the server, which may not be there.
        _farpage_offer "$("$farpage" areas --timeout 500ms --json 2>/dev/null |
            grep -oE '"name": *"[^"]*"' | cut -d'"' -f4)" "$current"
    else
        _farpage_offer "$(_farpage_words "$farpage" "$command")" "$current"
        [[ ${COMPREPLY[*]} ]] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -F _farpage farpage
