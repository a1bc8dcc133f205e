//! Which paths a source file names: `use` lines with their braces unfolded, and paths in code. Comments and texts are
//! passed over; `super` is followed to where it leads. No more of the language is understood, and no more is needed.

/// A path as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// From 1.
    pub line: usize,
    /// `crate::control::Control`, `axum::Json`.
    pub path: String,
}

impl Named {
    /// It is this path, or one below it.
    pub fn is(&self, prefix: &str) -> bool {
        self.path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Other(char),
}

/// Every path of two segments and more in a file of `<crate>/src`, and every item of a `use`.
pub fn named_in(file: &str, text: &str) -> Vec<Named> {
    let tokens = tokens(text);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        module: module(file),
        found: Vec::new(),
    };
    while reader.at < tokens.len() {
        reader.step();
    }
    reader.found
}

/// The module that a file is: `server/src/store/mod.rs` is `store`, `server/src/store/x.rs` is `store::x`.
fn module(file: &str) -> Vec<String> {
    let below = file
        .rsplit_once("src/")
        .map_or(file, |(_, below)| below)
        .trim_end_matches(".rs");
    let mut segments: Vec<String> = below.split('/').map(str::to_owned).collect();
    if segments
        .last()
        .is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main"))
    {
        segments.pop();
    }
    segments
}

struct Reader<'a> {
    tokens: &'a [(usize, Token)],
    at: usize,
    module: Vec<String>,
    found: Vec<Named>,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }

    fn step(&mut self) {
        match self.peek(0) {
            Some(Token::Word(word)) if word == "use" => {
                self.at += 1;
                self.tree(&[]);
            }
            Some(Token::Word(_)) if self.peek(1) == Some(&Token::Path) => self.tree(&[]),
            // `<T as Trait>::name` and `::std::x`: what follows is no path of its own.
            Some(Token::Path) => {
                self.at += 1;
                if matches!(self.peek(0), Some(Token::Word(_))) {
                    self.at += 1;
                }
            }
            _ => self.at += 1,
        }
    }

    /// One path, or the tree of a `use`, from here on.
    fn tree(&mut self, before: &[String]) {
        let mut segments = before.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |(line, _)| *line);
        loop {
            match self.peek(0).cloned() {
                Some(Token::Word(word)) => {
                    segments.push(word);
                    self.at += 1;
                }
                Some(Token::Other('{')) => {
                    self.at += 1;
                    self.branches(&segments);
                    return;
                }
                Some(Token::Other('*')) => {
                    self.at += 1;
                    break;
                }
                _ => break,
            }
            if self.peek(0) != Some(&Token::Path) {
                break;
            }
            self.at += 1;
        }
        let path = self.resolved(&segments).join("::");
        self.found.push(Named { line, path });
    }

    fn branches(&mut self, before: &[String]) {
        loop {
            match self.peek(0) {
                None => return,
                Some(Token::Other('}')) => {
                    self.at += 1;
                    return;
                }
                Some(Token::Word(word)) if word == "as" => self.at += 2,
                Some(Token::Word(_) | Token::Other('*' | '{')) => self.tree(before),
                // A comma, or something that is no path.
                Some(_) => self.at += 1,
            }
        }
    }

    /// `super` and `self` at the beginning become what they stand for.
    fn resolved(&self, segments: &[String]) -> Vec<String> {
        let up = segments
            .iter()
            .take_while(|segment| *segment == "super")
            .count();
        let own = segments.first().is_some_and(|first| first == "self");
        if up == 0 && !own {
            return segments.to_vec();
        }
        let depth = self.module.len().saturating_sub(up);
        let rest = &segments[up.max(usize::from(own))..];
        let here = self.module.get(..depth).unwrap_or_default();
        std::iter::once("crate".to_owned())
            .chain(here.iter().cloned())
            .chain(rest.iter().cloned())
            .collect()
    }
}

/// Words, `::` and signs, with their lines.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        let next = chars.get(at + 1).copied();
        match chars[at] {
            '/' if next == Some('/') => at = until(&chars, at, |c| c == '\n'),
            '/' if next == Some('*') => at = comment_end(&chars, at),
            '"' => at = text_end(&chars, at),
            '\'' => at = quote_end(&chars, at),
            ':' if next == Some(':') => {
                found.push((line, Token::Path));
                at += 2;
            }
            c if c.is_alphabetic() || c == '_' => {
                if let Some(end) = raw_end(&chars, at) {
                    at = end;
                } else {
                    at = until(&chars, at, |c| !(c.is_alphanumeric() || c == '_'));
                    found.push((line, Token::Word(chars[start..at].iter().collect())));
                }
            }
            c => {
                if !c.is_whitespace() {
                    found.push((line, Token::Other(c)));
                }
                at += 1;
            }
        }
        line += chars[start..at].iter().filter(|c| **c == '\n').count();
    }
    found
}

fn until(chars: &[char], from: usize, ends: impl Fn(char) -> bool) -> usize {
    (from..chars.len())
        .find(|i| ends(chars[*i]))
        .unwrap_or(chars.len())
}

fn comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn text_end(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// A character, or a lifetime.
fn quote_end(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), _) => (until(chars, from + 3, |c| c == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => from + 3,
        _ => from + 1,
    }
}

/// `r"..."`, `r#"..."#`, `br#"..."#`; none where no raw text begins here.
fn raw_end(chars: &[char], from: usize) -> Option<usize> {
    let after = match (chars[from], chars.get(from + 1)) {
        ('r', _) => from + 1,
        ('b' | 'c', Some('r')) => from + 2,
        _ => return None,
    };
    let quote = until(chars, after, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - after;
    let closes = |i: &usize| {
        chars[*i] == '"'
            && chars[i + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    Some(
        (quote + 1..chars.len())
            .find(closes)
            .map_or(chars.len(), |i| i + 1 + hashes),
    )
}
