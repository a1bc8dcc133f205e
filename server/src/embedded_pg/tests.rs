use super::*;

fn running_at(socket_directory: &str) -> EmbeddedPostgres {
    EmbeddedPostgres {
        socket_directory: PathBuf::from(socket_directory),
        owned: None,
    }
}

#[test]
fn the_url_holds_the_socket_directory_whatever_its_name() {
    assert_eq!(
        running_at("/run/ringfence").url("ringfence"),
        "postgres:///ringfence?host=%2Frun%2Fringfence&port=5432&user=ringfence&sslmode=disable"
    );
    let url = running_at("/srv/a & b/50%").url("fleet one");
    let expected = "postgres:///fleet%20one?host=%2Fsrv%2Fa%20%26%20b%2F50%25&";
    assert!(url.starts_with(expected), "{url}");
}

#[test]
fn a_machine_without_postgresql_is_told_what_to_install() {
    let root = tempfile::tempdir().unwrap();
    let mut search = Search {
        explicit: None,
        path: std::ffi::OsString::new(),
        version_roots: Vec::new(),
        ask_pg_config: false,
    };
    let error = choose_binaries(&search, root.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("apt-get install postgresql"), "{error}");
    assert!(error.contains("PG_BINDIR"), "{error}");

    search.explicit = Some(root.path().to_path_buf());
    let error = choose_binaries(&search, root.path())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("PG_BINDIR is /"), "{error}");
}

#[test]
fn data_of_a_version_that_is_not_installed_are_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("PG_VERSION"), "9\n").unwrap();
    let error = choose_binaries(&Search::of_this_machine(), root.path()).unwrap_err();
    assert!(
        matches!(error, EmbeddedPgError::VersionMissing { wanted: 9, .. }),
        "{error}"
    );
}
