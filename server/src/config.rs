//! The configuration of the server.
//!
//! Settings come from four places, the later ones win: defaults, a TOML file, environment variables
//! (`RINGFENCE_LISTEN`, `RINGFENCE_POLL__IDLE_S`), and flags. Relative paths count from the directory
//! in which the server is started.

mod error;
mod network;
mod parts;
mod sources;

pub use error::{ConfigError, Problems};
pub use network::Network;
pub use parts::{Ingest, Log, LogFormat, Poll, Tls};
pub use sources::{Flags, LogFlags, TlsFlags};

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};
use sources::Environment;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::{env, fs};

const SYSTEM_DATA_DIR: &str = "/var/lib/ringfence";

/// Everything that can be set, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The PostgreSQL database, such as `postgres://ringfence:...@db.example.org/ringfence`. Without
    /// one the server starts an embedded PostgreSQL in `data_dir`.
    pub database_url: Option<SecretString>,

    /// A file that holds `database_url`, for secrets that are mounted as files. Read while the
    /// configuration is loaded: afterwards `database_url` has its content.
    pub database_url_file: Option<PathBuf>,

    /// Where everything is kept that is not in the database, and the embedded database itself.
    /// Default: `/var/lib/ringfence` for root, else `ringfence` in the user's data directory.
    pub data_dir: PathBuf,

    /// The address and port to listen on. Default: 127.0.0.1:8443.
    #[serde(default = "default_listen", deserialize_with = "socket_address")]
    pub listen: SocketAddr,

    /// The certificate for HTTPS. Without one the server speaks plain HTTP, which is accepted on the
    /// loopback interface and from trusted proxies only.
    pub tls: Option<Tls>,

    /// Proxies in front of the server, from which plain HTTP is accepted. Default: none.
    #[serde(default, deserialize_with = "network::list")]
    pub trusted_proxies: Vec<Network>,

    /// At least 32 random bytes from which all keys of the server are derived; the same file on every
    /// replica. Made at the first start where it is missing. Default: `data_dir/secret`.
    pub secret_file: PathBuf,

    /// Where packages and their manifests are kept. Default: `data_dir/content`.
    pub content_dir: PathBuf,

    /// What is logged and how.
    #[serde(default)]
    pub log: Log,

    /// How often devices ask for work.
    #[serde(default)]
    pub poll: Poll,

    /// How telemetry is written.
    #[serde(default)]
    pub ingest: Ingest,

    /// How many connections to the database this process may open. Default: 8, which suits a database
    /// with two to four processors; more connections mostly wait for each other.
    #[serde(default = "default_pool_size")]
    pub pool_size: u32,

    /// Whether replicas wake each other by LISTEN and NOTIFY. Switch it off behind a connection pooler
    /// that does not pass notifications on: changes are then seen within 100 ms instead of at once.
    /// Default: true.
    #[serde(default = "default_notify")]
    pub notify: bool,

    /// For how many days the events of devices are kept. Partitions that a rollout still needs which
    /// is not over, or serves stragglers, are kept longer. Decisions are in the audit log, which is never shortened. Default: 180.
    #[serde(default = "default_event_retention_days")]
    pub event_retention_days: u32,
}

impl Config {
    /// Reads all sources.
    ///
    /// # Errors
    /// One or more sentences, each of which names the setting and the place where it was given.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let variables = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::load_from(flags, Path::new("ringfence.toml"), variables)
    }

    /// The same with an environment that is given, and another file to look for.
    pub(crate) fn load_from(
        flags: &Flags,
        usual_file: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let default_data_dir = default_data_dir(&variables);
        let mut figment = Figment::new();
        if let Some(file) = configuration_file(flags, usual_file)? {
            figment = figment.merge(Toml::file_exact(file));
        }
        let figment = figment
            .merge(Environment::from_variables(variables))
            .merge(flags);

        let data_dir = if figment.contains("data_dir") {
            figment
                .extract_inner("data_dir")
                .map_err(|error| ConfigError::from_figment(error, &figment))?
        } else {
            default_data_dir
        };
        let figment = figment
            .join(Serialized::default("data_dir", &data_dir))
            .join(Serialized::default("secret_file", data_dir.join("secret")))
            .join(Serialized::default("content_dir", data_dir.join("content")));
        let mut config: Self = figment
            .extract()
            .map_err(|error| ConfigError::from_figment(error, &figment))?;
        config.read_database_url()?;
        config.check()?;
        Ok(config)
    }

    /// Whether a request without TLS is served to this peer.
    #[must_use]
    pub fn accepts_plain_http_from(&self, peer: IpAddr) -> bool {
        self.listen.ip().is_loopback() || self.is_trusted_proxy(peer)
    }

    /// Whether this peer may say on whose behalf it asks: only a proxy that is named. One on this machine has to be
    /// named as well: who passes on what a client wrote would let clients choose who they are.
    #[must_use]
    pub fn speaks_for_others(&self, peer: IpAddr) -> bool {
        self.is_trusted_proxy(peer)
    }

    fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(peer))
    }

    fn read_database_url(&mut self) -> Result<(), ConfigError> {
        let Some(path) = &self.database_url_file else {
            return Ok(());
        };
        if self.database_url.is_some() {
            return senseless(
                "Both `database_url` and `database_url_file` are set: leave one of them out.",
            );
        }
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            setting: "database_url_file",
            path: path.clone(),
            source,
        })?;
        self.database_url = Some(text.trim().into());
        Ok(())
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Some(url) = &self.database_url {
            let url = url.expose_secret();
            if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                return senseless(
                    "`database_url` does not start with postgres://. It looks like \
                     postgres://user:password@host:5432/database.",
                );
            }
        }
        if self.tls.is_none() && !self.listen.ip().is_loopback() && self.trusted_proxies.is_empty()
        {
            return senseless(&format!(
                "The server would listen on {} without TLS, where everybody on the network could read \
                 its traffic. Set `tls.certificate` and `tls.key`; or list the proxy in front of it in \
                 `trusted_proxies`; or listen on 127.0.0.1.",
                self.listen
            ));
        }
        let numbers = [
            ("pool_size", u64::from(self.pool_size), 2),
            ("poll.idle_s", u64::from(self.poll.idle_s), 1),
            ("poll.active_s", u64::from(self.poll.active_s), 1),
            ("ingest.max_batch", self.ingest.max_batch as u64, 1),
            (
                "event_retention_days",
                u64::from(self.event_retention_days),
                1,
            ),
        ];
        for (name, value, least) in numbers {
            if value < least {
                return senseless(&format!(
                    "`{name}` is {value}, but must be at least {least}."
                ));
            }
        }
        Ok(())
    }
}

fn senseless<T>(sentence: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Senseless(sentence.to_owned()))
}

/// A file that was asked for has to exist; the usual one may be missing.
fn configuration_file(flags: &Flags, usual: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let path = match &flags.config {
        Some(path) => path.as_path(),
        None if usual.exists() => usual,
        None => return Ok(None),
    };
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        setting: "The configuration file (--config)",
        path: path.to_path_buf(),
        source,
    })?;
    if let Err(error) = toml::from_str::<toml::Table>(&text) {
        let before = text.get(..error.span().map_or(0, |span| span.start));
        return Err(ConfigError::Syntax {
            path: path.to_path_buf(),
            line: before.map_or(1, |before| before.matches('\n').count() + 1),
            message: error.message().to_owned(),
        });
    }
    Ok(Some(path.to_path_buf()))
}

fn default_data_dir(variables: &[(String, String)]) -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from(SYSTEM_DATA_DIR);
    }
    let variable = |name: &str| {
        let (_, value) = variables.iter().find(|(known, _)| known == name)?;
        Some(PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    // A service without a home is one of the system, whatever account it runs as.
    variable("XDG_DATA_HOME")
        .or_else(|| Some(variable("HOME")?.join(".local/share")))
        .map_or_else(
            || PathBuf::from(SYSTEM_DATA_DIR),
            |directory| directory.join("ringfence"),
        )
}

fn default_listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8443))
}

fn default_pool_size() -> u32 {
    8
}

fn default_notify() -> bool {
    true
}

fn default_event_retention_days() -> u32 {
    180
}

fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let expected = "an address and a port, such as 127.0.0.1:8443";
    text.parse()
        .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

#[cfg(test)]
mod tests;
