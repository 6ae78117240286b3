# code(line): the line without comments and without what stands in string and character literals, so that the
# checks look at code only. Call it for every line of a file in order, with in_comment = 0 at the first.
function code(s,    out, token, end) {
    out = ""
    while (s != "") {
        if (in_comment) {
            end = index(s, "*/")
            if (!end) return out
            s = substr(s, end + 2)
            in_comment = 0
            out = out " "
        }
        if (!match(s, /"|'|\/\*|\/\//)) return out s
        out = out substr(s, 1, RSTART - 1)
        token = substr(s, RSTART, RLENGTH)
        s = substr(s, RSTART + RLENGTH)
        if (token == "//") return out
        if (token == "/*") {
            in_comment = 1
            continue
        }
        end = ""
        while (end != token) {
            if (!match(s, token == "'" ? "\\\\.|'" : "\\\\.|\"")) return out token token
            end = substr(s, RSTART, RLENGTH)
            s = substr(s, RSTART + RLENGTH)
        }
        out = out token token
    }
    return out
}

# uses(code, name): the position of a use of the word `name`, as a call if calls is set; 0 if there is none.
function uses(s, name, calls,    at, from, before, after) {
    for (from = 1; (at = index(substr(s, from), name)) > 0; from = at + 1) {
        at += from - 1
        before = at == 1 ? "" : substr(s, at - 1, 1)
        after = substr(s, at + length(name))
        if (before ~ /[A-Za-z0-9_.]/ || substr(s, at - 2, 2) == "->" || after ~ /^[A-Za-z0-9_]/) continue
        if (calls && after !~ /^[ \t]*\(/) continue
        return at
    }
    return 0
}
