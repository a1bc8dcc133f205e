//! Where in a JSON text a path is: people look for the line, programs say the path.

/// The line, from 1, of the value at a path such as `variants[0].packages[1].sha256`; where the text ends before it, that
/// of the nearest value around it. None for text that is no JSON up to there.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let steps = steps(path);
    let mut reader = Reader { text, at: 0 };
    let mut found = None;
    for step in &steps {
        reader.blanks();
        let here = reader.at;
        if !reader.enter(step) {
            reader.at = here;
            break;
        }
        found = Some(reader.at);
    }
    reader.blanks();
    let at = found.unwrap_or(reader.at);
    let before = text.get(..at)?;
    (!text.is_empty()).then(|| before.matches('\n').count() + 1)
}

enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, items) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !name.is_empty() {
            steps.push(Step::Field(name));
        }
        let numbers = items.split(['[', ']']).filter_map(|n| n.parse().ok());
        steps.extend(numbers.map(Step::Item));
    }
    steps
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    /// Goes to the value of a field or an item; false where there is none.
    fn enter(&mut self, step: &Step<'_>) -> bool {
        match step {
            Step::Field(name) => self.field(name),
            Step::Item(index) => self.item(*index),
        }
    }

    fn field(&mut self, name: &str) -> bool {
        if !self.take(b'{') {
            return false;
        }
        loop {
            self.blanks();
            let start = self.at;
            if !self.string() {
                return false;
            }
            let found = self.text.get(start + 1..self.at - 1) == Some(name);
            if !self.take(b':') {
                return false;
            }
            self.blanks();
            if found {
                return true;
            }
            if !self.skip() || !self.take(b',') {
                return false;
            }
        }
    }

    fn item(&mut self, index: usize) -> bool {
        if !self.take(b'[') {
            return false;
        }
        for _ in 0..index {
            if !self.skip() || !self.take(b',') {
                return false;
            }
        }
        self.blanks();
        self.peek().is_some_and(|b| b != b']')
    }

    /// Passes a string; escapes are passed, not read.
    fn string(&mut self) -> bool {
        if self.peek() != Some(b'"') {
            return false;
        }
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return true,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        false
    }

    /// Passes a value, whatever it is, without calling itself: text of people can be nested as deeply as it likes.
    fn skip(&mut self) -> bool {
        let mut depth = 0_usize;
        loop {
            self.blanks();
            match self.peek() {
                Some(b'"') => {
                    if !self.string() {
                        return false;
                    }
                }
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                Some(b) if b.is_ascii_alphanumeric() || b == b'-' => {
                    while self
                        .peek()
                        .is_some_and(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                    {
                        self.at += 1;
                    }
                }
                _ => return false,
            }
            if depth == 0 {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "kb": "KB1",
  "title": "a \"quoted\" {brace}",
  "supersedes": [],
  "variants": [
    { "packages": [ { "ordinal": 1 }, {
        "ordinal": 2,
        "sha256": "x" } ] },
    {
      "base_builds": [1, -2.5e3, null]
    }
  ]
}"#;

    #[test]
    fn a_path_is_found_in_the_text_as_people_wrote_it() {
        assert_eq!(line_of(TEXT, "title"), Some(3));
        assert_eq!(line_of(TEXT, "variants[0].packages[1].sha256"), Some(8));
        assert_eq!(line_of(TEXT, "variants[1].base_builds[2]"), Some(10));
    }

    #[test]
    fn what_is_missing_is_looked_for_around_where_it_belongs() {
        assert_eq!(line_of(TEXT, "variants[0].packages[1].size_bytes"), Some(6));
        assert_eq!(line_of(TEXT, "variants[7].base_builds"), Some(5));
        assert_eq!(line_of(TEXT, "label"), Some(1));
        assert_eq!(line_of("", "label"), None);
        assert_eq!(line_of(r#"{"a": [[[["#, "b"), Some(1));
        assert_eq!(line_of("{\"", "a"), Some(1));
        assert_eq!(line_of("{\"\\", "a"), Some(1));
        assert_eq!(line_of("{\"ä\": \"\\ä", "ö.b"), Some(1));
    }
}
