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
