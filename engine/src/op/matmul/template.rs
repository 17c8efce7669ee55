//! The few lines of preprocessing that kernels written for several sizes need: what must be known before compilation
//! and is neither a type nor a value in WGSL (how many registers there are, what a buffer holds).
//!
//! Directives stand on lines of their own. `//@each i 4`, `//@each i NAME` and `//@each o a,b` repeat the lines up to
//! their `//@end` for 0, 1, .. or for each word, with `$i` replaced. `//@if name`, `//@else`, `//@end` keep one side by
//! whether the named value is 0.

use std::fmt::Write;

/// Named numbers. Those in capitals become constants of the shader.
pub(super) type Values = [(&'static str, u32)];

/// The value of a name; what is not named is 0.
fn value(values: &Values, name: &str) -> u32 {
    values.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| *value)
}

/// Lines up to the `//@end` that belongs to the line before them, those of an `//@else` apart, and what follows.
fn block(lines: &[String]) -> (&[String], &[String], &[String]) {
    let (mut depth, mut other) = (0, None);
    for (i, line) in lines.iter().enumerate() {
        let line = line.trim();
        if line == "//@end" && depth == 0 {
            let (first, second) = match other {
                Some(at) => (&lines[..at], &lines[at + 1..i]),
                None => (&lines[..i], &lines[i..i]),
            };
            return (first, second, &lines[i + 1..]);
        }
        if line == "//@else" && depth == 0 {
            other = Some(i);
        }
        depth += usize::from(line.starts_with("//@each") || line.starts_with("//@if"));
        depth -= usize::from(line == "//@end");
    }
    (lines, &[], &[])
}

fn expand_lines(mut lines: &[String], values: &Values, out: &mut String) {
    while let Some((line, rest)) = lines.split_first() {
        let words: Vec<&str> = line.split_whitespace().collect();
        lines = match words[..] {
            ["//@each", name, over] => {
                let (body, _, rest) = block(rest);
                let all: Vec<String> = match over.contains(',') {
                    true => over.split(',').map(String::from).collect(),
                    false => {
                        let count = over.parse().unwrap_or_else(|_| value(values, over));
                        (0..count).map(|i| i.to_string()).collect()
                    }
                };
                let name = format!("${name}");
                for word in all {
                    let body: Vec<String> = body.iter().map(|line| line.replace(&name, &word)).collect();
                    expand_lines(&body, values, out);
                }
                rest
            }
            ["//@if", name] => {
                let (yes, no, rest) = block(rest);
                expand_lines(if value(values, name) > 0 { yes } else { no }, values, out);
                rest
            }
            _ => {
                out.push_str(line);
                out.push('\n');
                rest
            }
        };
    }
}

/// The WGSL text of a template.
pub(super) fn expand(text: &str, values: &Values) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for (name, value) in values.iter().filter(|(name, _)| name.starts_with(|c: char| c.is_uppercase())) {
        // Writing to a string does not fail.
        let _ = writeln!(out, "const {name}: u32 = {value}u;");
    }
    // Comments stay in the source, so that repeated lines do not repeat them.
    let kept = |line: &&str| line.trim().starts_with("//@") || !line.trim().starts_with("//");
    let lines: Vec<String> = text.lines().filter(kept).map(String::from).collect();
    expand_lines(&lines, values, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_repeated_and_chosen() {
        let text = "// gone\n//@each o a,b\n//@each i N\n//@if $o_on\n$o$i yes\n//@else\n$o$i no\n//@end\n//@end\n//@end\nend";
        let got = expand(text, &[("N", 2), ("a_on", 1)]);
        assert_eq!(got, "const N: u32 = 2u;\na0 yes\na1 yes\nb0 no\nb1 no\nend\n");
        assert_eq!(expand("//@each i 3\n$iu\n//@end", &[]), "0u\n1u\n2u\n");
        assert_eq!(expand("//@if x\n1\n//@if y\n2\n//@else\n3\n//@end\n//@end\n4", &[("x", 1)]), "1\n3\n4\n");
        assert_eq!(expand("//@if x\n1\n//@else\n//@if y\n2\n//@end\n//@end", &[("y", 1)]), "2\n");
    }
}
