# SPDX-License-Identifier: BSD-3-Clause
# bash completion of farpaged(8). All it offers it asks the program itself.

_farpaged() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $previous in
    -c | --config)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    --set)
        mapfile -t COMPREPLY < <(compgen -S = -W "$("${COMP_WORDS[0]}" --help 2>/dev/null |
            grep -oE '^  [a-z]+\.[a-z_]+') listeners areas exports" -- "$current")
        compopt -o nospace 2>/dev/null
        ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --help 2>/dev/null |
            grep -oE -- '--[a-z-]+' | sort -u)" -- "$current")
        ;;
    esac
}
complete -F _farpaged farpaged
