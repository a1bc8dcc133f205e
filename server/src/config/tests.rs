use super::*;

/// Loads a configuration as if it had been given in this file and these variables.
fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_with_flags(&Flags::default(), toml, variables)
}

fn load_with_flags(
    flags: &Flags,
    toml: &str,
    variables: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ringfence.toml");
    fs::write(&file, toml).unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load_from(flags, &file, variables)
}

fn refusal(toml: &str, variables: &[(&str, &str)]) -> String {
    load(toml, variables).unwrap_err().to_string()
}

#[test]
fn without_any_source_the_server_is_reachable_from_this_machine_only() {
    let nothing = Path::new("does/not/exist.toml");
    let config = Config::load_from(&Flags::default(), nothing, []).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8443");
    assert!(config.database_url.is_none());
    assert_eq!(config.secret_file, config.data_dir.join("secret"));
    assert_eq!(config.content_dir, config.data_dir.join("content"));
    assert_eq!((config.poll.idle_s, config.poll.active_s), (900, 300));
    assert_eq!(config.log, Log::default());
    assert!(config.notify);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "pool_size = 1000\ndata_dir = '/file'\n[poll]\nidle_s = 60\nactive_s = 30\n";
    let variables = [
        ("RINGFENCE_DATA_DIR", "/environment"),
        ("RINGFENCE_POLL__IDLE_S", "120"),
        ("RINGFENCE_LOG__FORMAT", "json"),
        ("RINGFENCE_LOG__FILTER", "warn,server=debug"),
    ];
    let flags = Flags {
        data_dir: Some("/flag".into()),
        tls: TlsFlags {
            certificate: Some("cert.pem".into()),
            key: Some("key.pem".into()),
        },
        ..Flags::default()
    };
    let config = load_with_flags(&flags, file, &variables).unwrap();

    assert_eq!(config.pool_size, 1000);
    assert_eq!((config.poll.idle_s, config.poll.active_s), (120, 30));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.log.filter, "warn,server=debug");
    assert_eq!(config.data_dir, Path::new("/flag"));
    assert_eq!(config.secret_file, Path::new("/flag/secret"));
    assert_eq!(config.tls.unwrap().key, Path::new("key.pem"));
}

#[test]
fn variables_that_are_not_settings_are_passed_over() {
    let variables = [
        ("RINGFENCE_PORT", "tcp://10.0.0.1:8443"),
        ("RINGFENCE_SERVICE_PORT_HTTPS", "8443"),
        ("RINGFENCE_TEST_DATABASE_URL", "postgres://elsewhere/test"),
        ("RINGFENCE_POOL_SIZE", ""),
    ];
    assert_eq!(load("", &variables).unwrap().pool_size, 8);
}

#[test]
fn an_unknown_setting_is_named_with_its_source() {
    let sentence = refusal("lissten = '127.0.0.1:1'\n", &[]);
    assert!(sentence.starts_with("lissten (in "), "{sentence}");
    assert!(sentence.contains("ringfence.toml"), "{sentence}");
    assert!(sentence.contains("`listen`"), "{sentence}");

    let sentence = refusal("", &[("RINGFENCE_POLL__IDEL_S", "5")]);
    let expected = "poll.idel_s (RINGFENCE_POLL__IDEL_S in the environment)";
    assert!(sentence.starts_with(expected), "{sentence}");
}

#[test]
fn a_wrong_value_is_named_with_its_source_and_what_was_expected() {
    let sentence = refusal("listen = 'everywhere'\n", &[]);
    assert!(sentence.starts_with("listen (in "), "{sentence}");
    assert!(sentence.contains("everywhere"), "{sentence}");
    assert!(sentence.contains("such as 127.0.0.1:8443"), "{sentence}");

    let sentence = refusal("", &[("RINGFENCE_INGEST__MAX_BATCH", "many")]);
    assert!(
        sentence.contains("RINGFENCE_INGEST__MAX_BATCH"),
        "{sentence}"
    );
    assert!(sentence.contains("usize"), "{sentence}");

    let mut flags = Flags::default();
    flags.log.format = Some("xml".to_owned());
    let sentence = load_with_flags(&flags, "", &[]).unwrap_err().to_string();
    assert!(sentence.contains("--log-format"), "{sentence}");
    assert!(sentence.contains("`text` or `json`"), "{sentence}");
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let sentence = refusal("[tls]\ncertificate = 'cert.pem'\n", &[]);
    assert!(sentence.contains("`key` is missing"), "{sentence}");
}

#[test]
fn a_broken_file_is_located_but_not_quoted() {
    let sentence = refusal(
        "pool_size = 8\ndatabase_url = 'postgres://u:hunter2@db\n",
        &[],
    );
    assert!(sentence.contains("ringfence.toml, line 2"), "{sentence}");
    assert!(!sentence.contains("hunter2"), "{sentence}");
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let flags = Flags {
        config: Some("/does/not/exist.toml".into()),
        ..Flags::default()
    };
    let error = load_with_flags(&flags, "", &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
}

#[test]
fn plain_http_to_the_network_needs_a_trusted_proxy() {
    let sentence = refusal("listen = '0.0.0.0:8080'\n", &[]);
    assert!(sentence.contains("0.0.0.0:8080 without TLS"), "{sentence}");

    let proxies = [("RINGFENCE_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1")];
    let config = load("listen = '0.0.0.0:8080'\n", &proxies).unwrap();
    assert!(config.accepts_plain_http_from("10.9.8.7".parse().unwrap()));
    assert!(config.accepts_plain_http_from("192.0.2.1".parse().unwrap()));
    assert!(!config.accepts_plain_http_from("203.0.113.1".parse().unwrap()));
    // Who speaks for others is named, also on this machine.
    assert!(config.speaks_for_others("192.0.2.1".parse().unwrap()));
    assert!(!config.speaks_for_others("127.0.0.1".parse().unwrap()));

    let secured = "listen = '0.0.0.0:8443'\ntls = { certificate = 'c', key = 'k' }\n";
    assert!(load(secured, &[]).is_ok());
    let sentence = refusal("trusted_proxies = ['10.0.0.0/99']\n", &[]);
    assert!(sentence.contains("10.0.0.0/99"), "{sentence}");
}

#[test]
fn the_database_url_can_come_from_a_file_and_is_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("url");
    fs::write(&file, "postgres://u:hunter2@db/ringfence\n").unwrap();
    let name = file.display().to_string();
    let config = load("", &[("RINGFENCE_DATABASE_URL_FILE", &name)]).unwrap();
    let url = config.database_url.as_ref().unwrap().expose_secret();
    assert_eq!(url, "postgres://u:hunter2@db/ringfence");
    assert!(!format!("{config:?}").contains("hunter2"));

    let both = [
        ("RINGFENCE_DATABASE_URL_FILE", name.as_str()),
        ("RINGFENCE_DATABASE_URL", "postgres://db/other"),
    ];
    assert!(refusal("", &both).contains("leave one of them out"));
    assert!(refusal("", &[("RINGFENCE_DATABASE_URL", "mysql://db")]).contains("postgres://"));
    let sentence = refusal("database_url = 271828", &[]);
    assert!(!sentence.contains("271828"), "{sentence}");
}

#[test]
fn numbers_that_would_stop_the_server_are_refused() {
    for (name, value) in [
        ("pool_size", 1),
        ("poll.idle_s", 0),
        ("ingest.max_batch", 0),
    ] {
        let sentence = refusal(&format!("{name} = {value}\n"), &[]);
        assert!(
            sentence.contains(&format!("`{name}` is {value}")),
            "{sentence}"
        );
    }
}
