//! Where settings come from besides the file: environment variables and flags. Both know how their
//! settings are written, so that an error can name them the way they were given.

use figment::providers::Serialized;
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};
use serde::Serialize;
use std::path::PathBuf;

/// Settings on the command line. They win over everything else.
///
/// There is none for `database_url`: a command line can be read by every user of the machine.
#[derive(Debug, Clone, Default, clap::Args, Serialize)]
pub struct Flags {
    /// The configuration file [default: ringfence.toml, where that exists]
    #[arg(long, env = "RINGFENCE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Where everything that is not in the database is kept
    #[arg(long, value_name = "DIRECTORY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,

    /// A file that holds the URL of the PostgreSQL database; without one an embedded PostgreSQL is used
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url_file: Option<PathBuf>,

    /// The address and port to listen on [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,

    /// Proxies from which plain HTTP is accepted, separated by commas
    #[arg(long, value_name = "NETWORKS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<String>,

    /// The secret that all replicas share
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,

    /// How many connections to the database this process may open [default: 8]
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<u32>,

    /// Certificate and key.
    #[command(flatten)]
    #[serde(skip_serializing_if = "TlsFlags::is_empty")]
    pub tls: TlsFlags,

    /// What is logged and how.
    #[command(flatten)]
    pub log: LogFlags,
}

/// The part of the flags that goes to `tls`.
#[derive(Debug, Clone, Default, clap::Args, Serialize)]
pub struct TlsFlags {
    /// The certificate chain for HTTPS, as PEM
    #[arg(long = "tls-certificate", id = "tls_certificate", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,

    /// The private key of the certificate, as PEM
    #[arg(long = "tls-key", id = "tls_key", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl TlsFlags {
    fn is_empty(&self) -> bool {
        self.certificate.is_none() && self.key.is_none()
    }
}

/// The part of the flags that goes to `log`.
#[derive(Debug, Clone, Default, clap::Args, Serialize)]
pub struct LogFlags {
    /// The form of the log: text or json [default: text]
    #[arg(long = "log-format", id = "log_format", value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,

    /// What is logged, such as `info` or `warn,server::ingest=debug` [default: info]
    #[arg(long = "log-filter", id = "log_filter", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

impl Provider for Flags {
    fn metadata(&self) -> Metadata {
        Metadata::named("the command line")
            .interpolater(|_, keys| format!("--{}", keys.join("-").replace('_', "-")))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Serialized::defaults(self).data()
    }
}

const PREFIX: &str = "RINGFENCE_";

/// The variables that start with `RINGFENCE_`; two underscores lead into a table:
/// `RINGFENCE_POLL__IDLE_S` is `poll.idle_s`.
pub(super) struct Environment(Vec<(String, String)>);

impl Environment {
    /// An empty variable counts as not set, which is how templates of services leave one out.
    pub(super) fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let settings = variables.into_iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
            (!value.is_empty() && !is_foreign(&key)).then(|| (key.replace("__", "."), value))
        });
        Self(settings.collect())
    }
}

/// Variables with our prefix that are not settings of the server: those of its tests and its agent, and
/// the ones that Kubernetes sets in every pod for a service named `ringfence`.
fn is_foreign(key: &str) -> bool {
    matches!(
        key,
        "config" | "bin_dir" | "port" | "service_host" | "service_port"
    ) || ["test_", "agent_", "port_", "service_port_"]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("the environment")
            .interpolater(|_, keys| format!("{PREFIX}{}", keys.join("__").to_ascii_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut dict = Dict::new();
        for (key, text) in &self.0 {
            let value: Value = text.parse().unwrap_or_else(|never| match never {});
            if let Some(nested) = nest(key, value).into_dict() {
                merge(&mut dict, nested);
            }
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn merge(into: &mut Dict, from: Dict) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Dict(_, existing)), Value::Dict(_, more)) => merge(existing, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
