function __etcdnaming
    set -l word (commandline -ct)
    set -l before (string match -r -- '^-[^=]*=' $word)
    for answer in (env COMP_WORDS=(commandline -cp | string collect) COMP_CWORD=$word \
            _ETCDNAMING_COMPLETE=fish_complete etcdnaming 2>/dev/null)
        set -l parts (string split -m 1 , -- $answer)
        switch $parts[1]
            case plain
                printf '%s\n' "$before$parts[2]"
            case file
                __fish_complete_path $parts[2]
        end
    end
end

complete --no-files --command etcdnaming --arguments '(__etcdnaming)'
