//! The log of the process: lines for people, or JSON for collectors, on standard error.

use crate::config::{Log, LogFormat};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be understood.
    #[error(
        "`log.filter` is `{filter}`, which is not a filter: {reason}. Examples: info, \
         warn,server::ingest=debug."
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Something else receives the log of this process already.
    #[error("The log of this process is already set up.")]
    Twice(#[from] TryInitError),
}

/// Sends everything that passes the filter to standard error, from now on and for the whole process.
///
/// # Errors
/// When the filter cannot be understood, or on the second call.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    Ok(subscriber(log, std::io::stderr)?.try_init()?)
}

fn subscriber<W>(log: &Log, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::builder()
            .parse(&log.filter)
            .map_err(|error| TelemetryError::Filter {
                filter: log.filter.clone(),
                reason: error.to_string(),
            })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    Ok(match log.format {
        LogFormat::Text => Box::new(builder.finish()),
        // The fields of the surrounding spans carry the request and rollout ids.
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let log = Log {
            format,
            filter: filter.to_owned(),
        };
        let subscriber = subscriber(&log, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::info_span!("request", id = "r-7");
            let _inside = request.enter();
            tracing::info!(ring = "pilot", "promoted");
            tracing::debug!("detail");
        });
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_for_people() {
        let text = logged(LogFormat::Text, "info");
        assert!(text.contains("promoted"), "{text}");
        assert!(!text.contains("detail"), "{text}");
    }

    #[test]
    fn json_carries_the_fields_of_the_request() {
        let text = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "promoted");
        assert_eq!(line["ring"], "pilot");
        assert_eq!(line["span"]["id"], "r-7");
    }

    #[test]
    fn a_filter_that_cannot_be_understood_is_named() {
        let log = Log {
            format: LogFormat::Text,
            filter: "server=loud".to_owned(),
        };
        let Err(error) = subscriber(&log, io::stderr) else {
            panic!("`loud` is not a level");
        };
        assert!(error.to_string().contains("`server=loud`"), "{error}");
    }
}
