//! Passwords: Argon2id, and what makes one good enough.

use anyhow::Context;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};
use zxcvbn::{Score, zxcvbn};

use crate::error::OpError;

/// Shortest password, in characters (NIST SP 800-63B asks for 15 without and 8 with a second factor).
const SHORTEST: usize = 12;

/// Longest password, in bytes: hashing takes no longer for it, reading it does.
const LONGEST: usize = 256;

/// Each hash takes 19 MiB and a core: more of them at once serve nobody.
const AT_ONCE: usize = 2;

/// So many tries are under way: more than are hashed, so that none waits for the database, and few enough that those
/// who wait for each other leave connections to everybody else.
const TRIES_AT_ONCE: usize = 4;

/// Hashes and checks passwords, a few at a time.
pub struct Passwords {
    turns: Semaphore,
    tries: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            tries: Semaphore::new(TRIES_AT_ONCE),
        }
    }
}

impl Passwords {
    /// A place among the tries that are under way. Taken before a connection to the database: who queues holds none.
    ///
    /// # Errors
    /// When the machine is stopping.
    pub(super) async fn place(&self) -> anyhow::Result<SemaphorePermit<'_>> {
        Ok(self.tries.acquire().await?)
    }

    /// The hash that is stored, as a PHC string.
    ///
    /// # Errors
    /// When the machine has no randomness or is stopping.
    pub async fn hash(&self, password: SecretString) -> anyhow::Result<String> {
        let _turn = self.turns.acquire().await?;
        tokio::task::spawn_blocking(move || {
            let hash = Argon2::default()
                .hash_password(password.expose_secret().as_bytes())
                .map_err(|e| anyhow::anyhow!("a password could not be hashed: {e}"))?;
            Ok(hash.to_string())
        })
        .await
        .context("a password could not be hashed")?
    }

    /// Whether a password is the one that was hashed. Without a hash it takes as long, and is wrong.
    ///
    /// # Errors
    /// When the stored hash is none, or the machine is stopping.
    pub async fn verify(
        &self,
        password: SecretString,
        stored: Option<String>,
    ) -> anyhow::Result<bool> {
        let _turn = self.turns.acquire().await?;
        tokio::task::spawn_blocking(move || {
            let password = password.expose_secret().as_bytes();
            let Some(stored) = stored else {
                let _spent = Argon2::default().hash_password(password);
                return Ok(false);
            };
            let stored = PasswordHash::new(&stored)
                .map_err(|e| anyhow::anyhow!("a stored password hash is none: {e}"))?;
            Ok(Argon2::default().verify_password(password, &stored).is_ok())
        })
        .await
        .context("a password could not be checked")?
    }
}

/// Whether a password may be chosen by someone of this name. Common passwords and patterns are told by zxcvbn, whose
/// lists come with it.
///
/// # Errors
/// [`OpError::Invalid`] that says what is missing.
pub fn check(password: &SecretString, name: &str) -> Result<(), OpError> {
    let text = password.expose_secret();
    let wrong = |expected: &str| Err(OpError::field("password", expected));
    if text.chars().count() < SHORTEST {
        return wrong("at least 12 characters");
    }
    if text.len() > LONGEST {
        return wrong("at most 256 bytes");
    }
    // The user's inputs are matched as words: the parts of a name count as well as the whole.
    let mut known: Vec<&str> = name.split_whitespace().collect();
    known.extend([name, "ringfence"]);
    // One's own name adds nothing, however often it stands there: what is left has to be enough.
    let mut rest = text.to_lowercase();
    for part in name.split_whitespace().filter(|p| p.chars().count() > 2) {
        rest = rest.replace(&part.to_lowercase(), "");
    }
    let score = |text: &str| zxcvbn(text, &known).score();
    if score(text).min(score(&rest)) < Score::Three {
        return wrong("a password that is harder to guess: several unrelated words, for example");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[tokio::test]
    async fn only_the_password_that_was_chosen_fits() {
        let passwords = Passwords::default();
        let stored = passwords.hash(secret("walrus tin orbit")).await.unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        let verify = async |text: &str, stored| passwords.verify(secret(text), stored).await;
        assert!(
            verify("walrus tin orbit", Some(stored.clone()))
                .await
                .unwrap()
        );
        assert!(!verify("walrus tin orbis", Some(stored)).await.unwrap());
        assert!(!verify("walrus tin orbit", None).await.unwrap());
        assert!(verify("x", Some("none".to_owned())).await.is_err());
    }

    #[test]
    fn what_is_guessed_first_is_no_password() {
        assert!(check(&secret("walrus tin orbit lamp"), "Anna Novak").is_ok());
        for weak in [
            "short",
            "passwordpassword",
            "123456789012",
            "qwertyuiop12",
            "AnnaNovakAnna",
            "ringfence2026",
            &"correct horse ".repeat(30),
        ] {
            let refused = check(&secret(weak), "Anna Novak");
            assert!(matches!(refused, Err(OpError::Invalid(_))), "{weak}");
        }
    }
}
