//! File name patterns: `*`, `?` and classes within one path element, and the wider ones of `.Files.Glob`.

/// Matches a name against a pattern as Go's `filepath.Match` does. A broken pattern matches nothing.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    run(&pattern, &name, false)
}

/// Matches a path against a glob: `*` stays within a path element, `**` crosses them, `{a,b}` are alternatives.
pub(crate) fn glob_matches(pattern: &str, path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    alternatives(pattern)
        .iter()
        .any(|pattern| run(&pattern.chars().collect::<Vec<_>>(), &path, true))
}

/// Alternatives beyond this are not tried: each brace multiplies them.
const ALTERNATIVES: usize = 1_000;

/// The patterns that a pattern with braces stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        match braces(&pattern) {
            Some((before, choices, after)) if done.len() + open.len() < ALTERNATIVES => {
                open.extend(choices.iter().map(|choice| format!("{before}{choice}{after}")));
            }
            _ => done.push(pattern),
        }
    }
    done
}

fn braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let start = pattern.find('{')?;
    let mut depth = 0_usize;
    let mut choices = Vec::new();
    let mut from = start + 1;
    for (at, character) in pattern.char_indices().skip_while(|(at, _)| *at < start) {
        match character {
            '{' => depth += 1,
            ',' if depth == 1 => {
                choices.push(&pattern[from..at]);
                from = at + 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    choices.push(&pattern[from..at]);
                    return Some((&pattern[..start], choices, &pattern[at + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// Walks pattern and name with one point to return to per kind of star.
fn run(pattern: &[char], name: &[char], crosses: bool) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut single: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if at < pattern.len() && pattern[at] == '*' {
            if crosses && pattern.get(at + 1) == Some(&'*') {
                at += 2;
                (double, single) = (Some((at, position)), None);
            } else {
                at += 1;
                single = Some((at, position));
            }
            continue;
        }
        if at == pattern.len() && position == name.len() {
            return true;
        }
        if position < name.len()
            && let Some(next) = one(pattern, at, name[position])
        {
            at = next;
            position += 1;
            continue;
        }
        // Let the last star take one character more.
        match (single, double) {
            (Some((back, taken)), _) if taken < name.len() && name[taken] != '/' => {
                single = Some((back, taken + 1));
                (at, position) = (back, taken + 1);
            }
            (_, Some((back, taken))) if taken < name.len() => {
                double = Some((back, taken + 1));
                single = None;
                (at, position) = (back, taken + 1);
            }
            _ => return false,
        }
    }
}

/// Matches one character and returns where the pattern goes on.
fn one(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => (character != '/').then_some(at + 1),
        '[' => class(pattern, at + 1, character),
        '\\' => (pattern.get(at + 1)? == &character).then_some(at + 2),
        plain => (*plain == character).then_some(at + 1),
    }
}

fn class(pattern: &[char], start: usize, character: char) -> Option<usize> {
    let negated = matches!(pattern.get(start), Some('^' | '!'));
    let mut at = start + usize::from(negated);
    let first = at;
    let mut found = false;
    loop {
        let mut low = *pattern.get(at)?;
        if low == ']' && at > first {
            break;
        }
        if low == '\\' {
            at += 1;
            low = *pattern.get(at)?;
        }
        let mut high = low;
        if pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2).is_some_and(|end| *end != ']') {
            high = pattern[at + 2];
            at += 2;
        }
        found |= (low..=high).contains(&character);
        at += 1;
    }
    (found != negated && character != '/').then_some(at + 1)
}
