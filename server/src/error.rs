//! What can go wrong with an operation, in terms of what the caller can do about it.

use servicing::FieldError;

/// Why an operation was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// There is no such thing, or the caller may not see it.
    #[error("{what} not found")]
    NotFound {
        /// `rollout`, `device` ...
        what: &'static str,
    },
    /// Someone else changed it, or it exists already.
    #[error("{0}")]
    Conflict(String),
    /// The rules say no.
    #[error("{sentence}")]
    Refused {
        /// Stable word.
        code: String,
        /// Sentence for the person who asked.
        sentence: String,
    },
    /// Fields are wrong.
    #[error("the input is not valid")]
    Invalid(Vec<FieldError>),
    /// The database can not be asked at present; later it can. The cause is logged, never sent out.
    #[error(transparent)]
    Unavailable(anyhow::Error),
    /// Our side. The cause is logged, never sent out.
    #[error(transparent)]
    Internal(anyhow::Error),
}

impl OpError {
    /// One wrong field.
    pub fn field(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError {
            field: field.into(),
            expected: expected.into(),
        }])
    }
}

impl From<engine::Refused> for OpError {
    fn from(refused: engine::Refused) -> Self {
        Self::Refused {
            code: refused.code,
            sentence: refused.sentence,
        }
    }
}

impl From<sqlx::Error> for OpError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            if database.is_unique_violation() {
                return Self::Conflict(format!(
                    "it exists already ({})",
                    database.constraint().unwrap_or("unique")
                ));
            }
            if database.is_check_violation() && database.message().starts_with("four eyes") {
                return Self::Refused {
                    code: "four_eyes".into(),
                    sentence: database.message().to_owned(),
                };
            }
        }
        if is_passing(&error) {
            return Self::Unavailable(error.into());
        }
        Self::Internal(error.into())
    }
}

impl From<anyhow::Error> for OpError {
    fn from(error: anyhow::Error) -> Self {
        let mut causes = error.chain().filter_map(|c| c.downcast_ref());
        if causes.any(is_passing) {
            return Self::Unavailable(error);
        }
        Self::Internal(error)
    }
}

/// No connection, none to be had, or the database is starting, stopping or out of something: not what was asked.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            // 40: two transactions waited for each other and one was given up; asking again is right.
            ["08", "40", "53", "57P0"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_database_that_can_not_be_reached_is_unavailable_however_deep_the_cause_lies() {
        let cut = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        for error in [
            OpError::from(sqlx::Error::PoolTimedOut),
            OpError::from(cut()),
            OpError::from(anyhow::Error::new(cut())),
            OpError::from(Err::<(), _>(cut()).context("no rings").unwrap_err()),
        ] {
            assert!(matches!(error, OpError::Unavailable(_)), "{error}");
        }
    }

    #[test]
    fn a_mistake_of_ours_is_internal() {
        for error in [
            OpError::from(sqlx::Error::RowNotFound),
            OpError::from(anyhow::anyhow!("a stage without its gate")),
        ] {
            assert!(matches!(error, OpError::Internal(_)), "{error}");
        }
    }
}
