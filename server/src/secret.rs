//! The secret that all replicas share, and the keys derived from it.
//!
//! One file of random bytes is the root of every symmetric key of the server. It never goes into the
//! database: who reads the database alone can forge nothing. Each purpose has a key of its own, so that
//! a key which leaks opens one door only.

use hkdf::Hkdf;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// 256 bits: what HKDF with SHA-256 can make use of.
const LEAST_LENGTH: usize = 32;

/// The root of all keys.
#[derive(Debug, Clone)]
pub struct ServerSecret {
    bytes: SecretSlice<u8>,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or made.
    #[error("The secret file {} cannot be {action}: {source}.", path.display())]
    Io {
        /// "read", "created".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The file is too short to be a secret.
    #[error(
        "The secret file {} holds {length} bytes, but at least {LEAST_LENGTH} random ones are needed. \
         Make one with: openssl rand -hex 32", path.display()
    )]
    TooShort {
        /// The file.
        path: PathBuf,
        /// What it holds.
        length: usize,
    },
}

impl ServerSecret {
    /// Reads the secret, and makes one first where there is none. Of several processes that start at
    /// the same time on shared storage one makes it and all read the same.
    ///
    /// # Errors
    /// When the file is too short, or can be neither read nor made.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        let failed = |action| {
            move |source| SecretError::Io {
                action,
                path: path.to_path_buf(),
                source,
            }
        };
        if !path.exists() {
            create(path).map_err(failed("created"))?;
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(failed("read"))?);
        let mode = fs::metadata(path).map_err(failed("read"))?.mode();
        if mode & 0o077 != 0 {
            tracing::warn!(
                path = %path.display(),
                "other accounts may read the secret file; close it with: chmod 600"
            );
        }
        Self::from_bytes(&bytes).map_err(|length| SecretError::TooShort {
            path: path.to_path_buf(),
            length,
        })
    }

    /// The error is the length of what is too short.
    fn from_bytes(bytes: &[u8]) -> Result<Self, usize> {
        // An editor adds a line end to a secret written as text, and to no other.
        let bytes = if bytes.is_ascii() {
            bytes.trim_ascii_end()
        } else {
            bytes
        };
        if bytes.len() < LEAST_LENGTH {
            return Err(bytes.len());
        }
        Ok(Self {
            bytes: bytes.to_vec().into(),
        })
    }

    /// The key for one purpose, such as `access token`. Always the same for the same secret.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        let hkdf = Hkdf::<Sha256>::new(Some(b"ringfence"), self.bytes.expose_secret());
        // Refused are only lengths above 255 blocks; this is one.
        hkdf.expand(purpose.as_bytes(), &mut key)
            .expect("one block is a valid length");
        key
    }

    /// Names this secret without giving anything of it away, so that a token made with another one is
    /// told apart from a forged one.
    #[must_use]
    pub fn kid(&self) -> String {
        hex::encode(&self.derive("key id")[..8])
    }
}

/// Writes a finished file under another name and links it to its place: nobody ever reads half a
/// secret, and nobody overwrites one that is in use.
fn create(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let random: Zeroizing<[u8; LEAST_LENGTH]> = Zeroizing::new(rand::random());
    let text = Zeroizing::new(format!("{}\n", hex::encode(random.as_slice())));

    let draft = path.with_extension(format!("new-{:08x}", rand::random::<u32>()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(directory)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_a_secret_that_only_its_owner_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/secret");
        let first = ServerSecret::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        let second = ServerSecret::load_or_create(&path).unwrap();
        assert_eq!(first.kid(), second.kid());
    }

    #[test]
    fn replicas_that_start_together_agree() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let kids: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| ServerSecret::load_or_create(&path).unwrap().kid()))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
    }

    #[test]
    fn every_purpose_and_every_secret_has_its_own_keys() {
        let one = ServerSecret::from_bytes(&[1; 32]).unwrap();
        let two = ServerSecret::from_bytes(&[2; 32]).unwrap();
        assert_eq!(one.derive("access token"), one.derive("access token"));
        assert_ne!(one.derive("access token"), one.derive("session"));
        assert_ne!(one.derive("access token"), two.derive("access token"));
        assert_ne!(one.kid(), two.kid());
    }

    /// Tokens and sessions in the field depend on these values: they must never change.
    #[test]
    fn derived_keys_stay_what_they_were() {
        let secret = ServerSecret::from_bytes(b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(secret.kid(), "a0928170e133b3b6");
        let key = "857c8e4db42c85fa78499f0511dd42dd1e8913118c0959da254aa2004c95f11a";
        assert_eq!(hex::encode(secret.derive("access token")), key);
    }

    #[test]
    fn a_line_end_after_a_secret_of_text_does_not_count() {
        let plain = ServerSecret::from_bytes(&[b'a'; 64]).unwrap();
        let edited = ServerSecret::from_bytes(&[[b'a'; 64].as_slice(), b"\n"].concat()).unwrap();
        assert_eq!(plain.kid(), edited.kid());

        let mut binary = [0xff; 32];
        binary[31] = b'\n';
        assert!(ServerSecret::from_bytes(&binary).is_ok());
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "password\n").unwrap();
        let sentence = ServerSecret::load_or_create(&path).unwrap_err().to_string();
        assert!(sentence.contains("holds 8 bytes"), "{sentence}");
        assert!(sentence.contains("openssl rand -hex 32"), "{sentence}");

        let secret = ServerSecret::from_bytes(&[b'x'; 40]).unwrap();
        assert!(!format!("{secret:?}").contains("120"));
    }
}
