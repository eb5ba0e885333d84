# Sourced by run: a scenario is played twice, in the guest against its kernel's vfio-pci and here against the daemon's own low power, and the
# answers are compared step by step.
# shellcheck shell=bash
# What run knows: the test's files, the daemon, the players.
# shellcheck disable=SC2154
#
# A scenario is a file in scenarios/, a step per line: a command that both vfio_client.c and src/bin/scenario.rs understand, or "daemon" and a verb
# of the control socket, which tells the function itself what happens to it, or "fault WHEN: WHAT" (see docs/faults.md). A step that begins with
# words in brackets belongs to the variants that have all of them, or all that follow an "or". A difference that is to stay follows its step:
#
#   ~ [WORDS] GUEST'S ANSWER | DAEMON'S ANSWER | the reason
#
# A step without one has to be answered alike; with one, exactly so.

# belongs CONDITION WORD...: whether the words of the variant meet it.
belongs() {
    local alternative word words=" ${*:2} "
    while read -r alternative; do
        for word in $alternative; do
            [[ $words == *" $word "* ]] || continue 2
        done
        return 0
    done <<<"${1// or /$'\n'}"
    return 1
}

# scenario_lines WORD...: the lines that belong to this variant, each after its number and a tab; no comments.
scenario_lines() {
    local line count=0
    while IFS= read -r line; do
        count=$((count + 1))
        [[ $line =~ ^(#|$) ]] && continue
        if [[ $line =~ ^(~ )?\[([^]]*)\]\ (.*)$ ]]; then
            line=${BASH_REMATCH[1]}${BASH_REMATCH[3]}
            belongs "${BASH_REMATCH[2]}" "$@" || continue
        fi
        printf '%s\t%s\n' "$count" "$line"
    done <"$scenario"
}

# scenario_steps WORD...: what the two players read.
scenario_steps() { scenario_lines "$@" | cut -f 2- | grep -v '^~'; }

# start_twin: a second daemon, which plays the host's part itself. Options of the header come last.
start_twin() {
    local options
    read -ra options <<<"$(options serve twin)"
    (
        cd "$run" || exit
        exec "$dormouse" serve --profile "$profile" --socket-path twin.sock --ctl-path twin-ctl.sock --log-level debug \
            --set host.view=vfio-pci --set host.disable-idle-d3=false "${options[@]}"
    ) >"$run/twin.log" 2>&1 &
    twin=$!
    for _ in {1..100}; do
        [ -S "$run/twin.sock" ] && [ -S "$run/twin-ctl.sock" ] && return
        kill -0 "$twin" 2>/dev/null || break
        sleep 0.05
    done
    return 1
}

# judge_scenario: plays the scenario against the twin and compares with what the guest answered.
judge_scenario() {
    local words
    read -ra words <<<"$(variant)"
    if ! start_twin; then
        fail "the daemon that plays the host starts" "$(tail -n 3 "$run/twin.log" | tr '\n' ' ')"
        return
    fi
    scenario_steps "${words[@]}" | (cd "$run" && "$player" twin.sock twin-ctl.sock) >"$run/twin.answers" 2>"$run/player.log"
    judge_status "the scenario is played to its end" $?
    kill -TERM "$twin" 2>/dev/null
    stop "$twin" 5
    judge_status "the daemon that plays the host ends cleanly" $?
    twin=
    compare_answers "${words[@]}"
}

# compare_answers WORD...: a check for each step.
compare_answers() {
    local guest daemon lines number text expected at
    readarray -t guest <"$run/guest.answers"
    readarray -t daemon <"$run/twin.answers"
    readarray -t lines < <(scenario_lines "$@")
    # Both say first whether the device opened.
    at=$(($(scenario_steps "$@" | wc -l) + 1))
    is_same "both answer every step" "$at $at" "${#guest[@]} ${#daemon[@]}"
    compare_answer "the device opens" "${guest[0]:-nothing}" "${daemon[0]:-nothing}" ""
    at=0
    for ((i = 0; i < ${#lines[@]}; i++)); do
        IFS=$'\t' read -r number text <<<"${lines[i]}"
        [[ $text == '~'* ]] && continue
        at=$((at + 1))
        # What comes after a missing answer says nothing more.
        [ $at -lt ${#guest[@]} ] && [ $at -lt ${#daemon[@]} ] || return
        expected=${lines[i + 1]:-}
        expected=${expected#*$'\t'}
        [[ $expected == '~'* ]] || expected=
        compare_answer "line $number: $text" "${guest[at]}" "${daemon[at]}" "${expected#'~ '}"
    done
}

# compare_answer TEXT GUEST DAEMON DIFFERENCE
compare_answer() {
    local want_guest want_daemon
    if [ -z "$4" ]; then
        judge "$1: $2" "$([ "$2" = "$3" ] || echo "the guest answers '$2', the daemon '$3'")"
        return
    fi
    IFS='|' read -r want_guest want_daemon _ <<<"$4"
    is_same "$1: differs as listed" "${want_guest% } ${want_daemon# }" "$2 $3 "
}

# is_same TEXT WANT GOT
is_same() { judge "$1" "$([ "$2" = "$3" ] || echo "want '$2', got '$3'")"; }
