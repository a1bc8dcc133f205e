//! Text with `*` for any characters, in any case.

/// A pattern of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<char>);

impl Pattern {
    /// A pattern as people write it.
    #[must_use]
    pub fn new(written: &str) -> Self {
        Self(written.to_lowercase().chars().collect())
    }

    /// Its characters in lower case, `*` for any.
    #[must_use]
    pub fn chars(&self) -> &[char] {
        &self.0
    }

    /// Whether a text is like it.
    ///
    /// Greedy with one step back to the last `*`: linear for patterns that people write.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.to_lowercase().chars().collect();
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match self.0.get(p) {
                Some('*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(c) if *c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match star {
                    Some((at, taken)) => {
                        star = Some((at, taken + 1));
                        p = at + 1;
                        t = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        self.0[p..].iter().all(|c| *c == '*')
    }
}
