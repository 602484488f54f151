_etcdnaming() {
    local IFS=$'\n' kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
        _ETCDNAMING_COMPLETE=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F _etcdnaming etcdnaming 2>/dev/null ||
    complete -F _etcdnaming etcdnaming
