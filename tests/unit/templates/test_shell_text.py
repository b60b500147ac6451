"""Values in commands: each stays one word, or the placeholder is refused."""

import pytest

from symphony.workflow.templates.shell_text import filled, quoted


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo $[[ a ]]", "echo 'v'"),
        ("echo $[[a]]$[[ a ]]", "echo 'v''v'"),
        ("X=$[[ a ]] make", "X='v' make"),
        ("echo 'it''s' $[[ a ]]", "echo 'it''s' 'v'"),
        ('echo "$HOME/x" $[[ a ]]', "echo \"$HOME/x\" 'v'"),
        ("echo ${HOME} $[[ a ]]", "echo ${HOME} 'v'"),
        ("echo x#y $[[ a ]]", "echo x#y 'v'"),
        ("# a note\necho $[[ a ]]", "# a note\necho 'v'"),
        ("x=$(cat $[[ a ]])", "x=$(cat 'v')"),
        (r"echo \" $[[ a ]]", "echo \\\" 'v'"),
        ("no parameter `here` << X", "no parameter `here` << X"),
        ("cat < $[[ a ]] > $[[ a ]] 2>&1", "cat < 'v' > 'v' 2>&1"),
        ("echo >&2 $[[ a ]]", "echo >&2 'v'"),
        ("echo x &> $[[ a ]]", "echo x &> 'v'"),
        ("cat <(echo $[[ a ]])", "cat <(echo 'v')"),
        ("[ $[[ a ]] = x ] && test -n $[[ a ]]", "[ 'v' = x ] && test -n 'v'"),
        ("[[ $[[ a ]] == x && -n $[[ a ]] ]]", "[[ 'v' == x && -n 'v' ]]"),
        ("[[ 1 -eq 1 ]] && echo $[[ a ]]", "[[ 1 -eq 1 ]] && echo 'v'"),
        ("case $[[ a ]] in $[[ a ]]) echo $[[ a ]];; esac", "case 'v' in 'v') echo 'v';; esac"),
        ("for i in $[[ a ]]; do echo $i; done", "for i in 'v'; do echo $i; done"),
        ("printf %s $[[ a ]]; ls *.[ch] $[[ a ]]", "printf %s 'v'; ls *.[ch] 'v'"),
        ("export X=$[[ a ]]; local y=$[[ a ]]", "export X='v'; local y='v'"),
        ("while read -r line; do echo $[[ a ]]; done", "while read -r line; do echo 'v'; done"),
        ("eval true; echo $[[ a ]] | sh", "eval true; echo 'v' | sh"),
        ("grep -e eval $[[ a ]]", "grep -e eval 'v'"),
        ("a=($[[ a ]] b)", "a=('v' b)"),
        ("(eval true) > $[[ a ]]", "(eval true) > 'v'"),
        ("python -c 'import sys' $[[ a ]]", "python -c 'import sys' 'v'"),
        ("sh -c 'echo $0' $[[ a ]]", "sh -c 'echo $0' 'v'"),
        ("sh $[[ a ]]", "sh 'v'"),
        ("sh build.sh -c $[[ a ]]", "sh build.sh -c 'v'"),
        ("read -r line < $[[ a ]]", "read -r line < 'v'"),
        ("eval true > $[[ a ]]", "eval true > 'v'"),
        ("docker run -v $[[ a ]]:/x", "docker run -v 'v':/x"),
    ],
)
def test_a_value_becomes_a_quoted_word(command: str, expected: str) -> None:
    assert filled(command, {"a": "v"}.__getitem__) == expected


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ('echo "$[[ a ]]"', 'inside " quotes'),
        ("echo '$[[ a ]]'", "inside ' quotes"),
        ("echo it's $[[ a ]]", "inside ' quotes"),
        ('echo "$(cat $[[ a ]])"', 'inside " quotes'),
        ("echo # $[[ a ]]", "in a comment"),
        ("#$[[ a ]]", "in a comment"),
        ("echo \\\n# $[[ a ]]", "in a comment"),
        ("(# $[[ a ]]\n)", "in a comment"),
        (r"echo \$[[ a ]]", "after a backslash"),
        ("echo $$[[ a ]]", "after a dollar sign"),
        ("echo `cat $[[ a ]]`", "backquote"),
        ("cat <<E\n$[[ a ]]\nE\n", "here-document"),
        ("cat <<< $[[ a ]]", "here-document"),
        ("echo $(( $[[ a ]] ))", "after ((…))"),
        ("(( $[[ a ]] ))", "after ((…))"),
        ("echo ${X:-$[[ a ]]}", "after ${…}"),
        ("echo $'a\\'$[[ a ]]", "after $'…'"),
        ("echo $[ $[[ a ]] ]", "after $[…]"),
        *(
            (command, "evaluates it once more")
            for command in (
                "echo x >& $[[ a ]]",
                "echo x >&$[[ a ]]",
                "cat <& $[[ a ]]",
                "cat 0<&$[[ a ]]",
                "exec 3>&$[[ a ]]",
                "echo >& \\\n $[[ a ]]",
                "echo >&'a'$[[ a ]]",
                "{ echo; } >& $[[ a ]]",
                "x=$(echo >&$[[ a ]])",
                "[[ $[[ a ]] -eq 0 ]]",
                "[[ 0 -lt $[[ a ]] ]]",
                "if [[ -n x && -v $[[ a ]] ]]; then :; fi",
                "[[ (1 -gt $[[ a ]]) ]]",
                "[ -v $[[ a ]] ]",
                "test ! -v $[[ a ]]",
                "printf -v $[[ a ]] x",
                "printf -v$[[ a ]] x",
                "eval $[[ a ]]",
                "if true; then eval $[[ a ]]; fi",
                "x=1 eval echo $[[ a ]]",
                "command eval $[[ a ]]",
                "f() { eval $[[ a ]]; }",
                "(eval $[[ a ]])",
                "'eval' $[[ a ]]",
                "ev\\al $[[ a ]]",
                "case x in x) eval $[[ a ]];; esac",
                "true && let $[[ a ]]",
                "let x=$[[ a ]]",
                "declare $[[ a ]]",
                "typeset $[[ a ]]",
                "local $[[ a ]]",
                "declare -i x=$[[ a ]]",
                "declare -i x; x=$[[ a ]]",
                "local -r -i x=$[[ a ]]",
                "declare -a x=$[[ a ]]",
                "declare -n x=$[[ a ]]",
                "a[$[[ a ]]]=1",
                "a[ $[[ a ]] ]=1",
                "a=([$[[ a ]]]=1)",
                "unset a[$[[ a ]]]",
                "unset $[[ a ]]",
                "read $[[ a ]] < x",
                "read -r x $[[ a ]] < x",
                "mapfile -C $[[ a ]] x",
                "trap $[[ a ]] EXIT",
                "sh -c $[[ a ]]",
                "sudo bash -ec $[[ a ]]",
                "bash -o pipefail +x -c $[[ a ]]",
                "find . -exec /bin/sh -c $[[ a ]] ;",
                "PS4=$[[ a ]] sh -x y",
                "export ENV=$[[ a ]]",
                "alias x=$[[ a ]]",
                "compgen -W $[[ a ]]",
            )
        ),
    ],
)
def test_a_place_where_quoting_would_not_hold_is_refused(command: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        filled(command, {"a": "v"}.__getitem__)
    assert why in str(caught.value)


def test_no_quoted_word_holds_an_expression_or_a_null_character() -> None:
    assert "${{" not in quoted("${{ env.SECRET }} $${{ x }}")
    with pytest.raises(ValueError, match="null character"):
        quoted("a\0b")
