# What test scripts count with. Sourced; runs nothing by itself, and wants $work, a directory of the test's own.
#
#   ok NAME COMMAND...          must succeed
#   code N NAME COMMAND...      must end with exit code N and say something, which stays in $work/said
#   same NAME WANT GOT          must be equal
#   until_ok NAME COMMAND...    must succeed within two minutes, however often it takes
#   finish                      the totals, as the last thing
passed=0 failed=0

report() {
    echo "FAIL $1: $2"
    sed 's/^/    /' "$work/out" | tail -n 20
    failed=$((failed + 1))
}

ok() {
    local name=$1 got
    shift
    "$@" >"$work/out" 2>&1
    got=$?
    if ((got == 0)); then passed=$((passed + 1)); else report "$name" "$* ended with $got"; fi
}

code() {
    local want=$1 name=$2 got
    shift 2
    "$@" >"$work/out" 2>&1
    got=$?
    cp "$work/out" "$work/said"
    if ((got == want)) && [[ -s $work/out ]]; then passed=$((passed + 1)); else report "$name" "$* ended with $got instead of $want"; fi
}

same() {
    if [[ $2 == "$3" ]]; then passed=$((passed + 1)); else
        echo "$3" >"$work/out"
        report "$1" "expected $2"
    fi
}

until_ok() {
    local name=$1 end=$((SECONDS + 120)) got
    shift
    while
        "$@" >"$work/out" 2>&1
        got=$?
        ((got != 0 && SECONDS < end))
    do sleep 0.1; done
    if ((got == 0)); then passed=$((passed + 1)); else report "$name" "$* ended with $got for two minutes"; fi
}

finish() {
    echo "$passed passed, $failed failed"
    ((failed == 0))
}
