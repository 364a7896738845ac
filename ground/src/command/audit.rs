//! The audit log: every command that was issued, by whom, and what became of it; and what was refused. One SQLite file,
//! one thread.
//!
//! A command is committed here, synced, before it is sent; what becomes of it follows as it becomes known.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode as SqliteError, Row};
use serde::Serialize;
use tern_shared::command::ground::{GIVEN_UP_AFTER, Tracked};
use tern_shared::command::{CancelReason, Command, CommandId, MAX_TIME_TO_LIVE, Step};
use tern_shared::id::VehicleId;
use tern_shared::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::refusals::Refusal;
use super::unavailable;
use super::view::{self, CommandStatus};
use crate::clock::wall_now;
use crate::publish::message::{ErrorCode, Problem};

/// What waits for the disk; more waits with whoever brings it.
const QUEUE: usize = 256;
/// How long another process may hold the file at the start.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// Marks the file as ours: "TerA".
const APPLICATION_ID: i64 = 0x5465_7241;
const VERSION: i64 = 2;

/// The audit log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Somebody else has it.
    #[error(
        "the commands' audit log {}: another tern-ground is using it; stop that one, or give each ground a history of \
         its own (history.path)",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written, or is no audit log.
    #[error("cannot use the commands' audit log {}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The way to the audit log's thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Audit(mpsc::Sender<Request>);

#[derive(Debug)]
enum Request {
    Issued { vehicle: VehicleId, tracked: Box<Tracked>, reply: oneshot::Sender<Result<(), Problem>> },
    Changed { tracked: Box<Tracked> },
    Cancelled { id: CommandId, who: String },
    Refused { refusal: Box<Refusal> },
    Close { reply: oneshot::Sender<()> },
    List { vehicle: VehicleId, limit: usize, reply: oneshot::Sender<Result<Vec<CommandStatus>, String>> },
}

impl AuditError {
    fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(SqliteError::DatabaseBusy | SqliteError::DatabaseLocked) => AuditError::InUse { path },
            _ => AuditError::Unusable { path, reason: error.to_string() },
        }
    }
}

impl Audit {
    /// Opens the file, or creates it. Returns the commands that had not ended.
    pub(super) fn open(
        path: &Path,
        now: Timestamp,
    ) -> Result<(Audit, Vec<(VehicleId, Tracked)>), AuditError> {
        let unusable = |reason: String| AuditError::Unusable { path: path.to_owned(), reason };
        let failed = |error| AuditError::of(path, &error);
        let db = Connection::open(path).map_err(failed)?;
        prepare(&db).map_err(failed)?.map_err(unusable)?;
        let kept = i64::try_from((GIVEN_UP_AFTER + MAX_TIME_TO_LIVE).as_micros()).unwrap_or(i64::MAX);
        let open = select(&db, include_str!("sql/select_open.sql"), (now.0.saturating_sub(kept),))
            .map_err(failed)?;
        let (requests, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || serve(db, queue))
            .map_err(|error| unusable(error.to_string()))?;
        Ok((Audit(requests), open))
    }

    /// Commits a command that is to be sent.
    pub(super) async fn issued(&self, vehicle: VehicleId, tracked: Tracked) -> Result<(), Problem> {
        let (reply, answer) = oneshot::channel();
        let gone = || unavailable("the audit log is closed");
        let request = Request::Issued { vehicle, tracked: Box::new(tracked), reply };
        self.0.send(request).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Notes what became of a command.
    pub(super) async fn changed(&self, tracked: Tracked) {
        let _ = self.0.send(Request::Changed { tracked: Box::new(tracked) }).await;
    }

    /// Notes that somebody wanted a command back.
    pub(super) async fn cancelled(&self, id: CommandId, who: String) {
        let _ = self.0.send(Request::Cancelled { id, who }).await;
    }

    /// Notes what was refused, unless the disk does not keep up.
    pub(super) fn refused(&self, refusal: Refusal) {
        if self.0.try_send(Request::Refused { refusal: Box::new(refusal) }).is_err() {
            warn!("the disk does not keep up: a refused command is not in the audit log");
        }
    }

    /// Waits until everything before is written and the file closed: another ground may open it. Nothing is written after
    /// that.
    pub(super) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.0.send(Request::Close { reply }).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// The newest commands of a vehicle, newest first.
    pub(super) async fn list(&self, vehicle: VehicleId, limit: usize) -> Result<Vec<CommandStatus>, String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "the audit log is closed".to_owned();
        self.0.send(Request::List { vehicle, limit, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn prepare(db: &Connection) -> rusqlite::Result<Result<(), String>> {
    // A ground that is being restarted lets go of it soon.
    db.busy_timeout(LOCK_LIMIT)?;
    // A second ground on the same log would send the same commands.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    db.pragma_update(None, "foreign_keys", true)?;
    match (application, version) {
        (0, 0) if tables == 0 => {
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "FULL")?;
            let change = db.unchecked_transaction()?;
            change.execute_batch(include_str!("sql/version_1.sql"))?;
            change.execute_batch(include_str!("sql/version_2.sql"))?;
            change.pragma_update(None, "application_id", APPLICATION_ID)?;
            change.pragma_update(None, "user_version", VERSION)?;
            change.commit()?;
        }
        (APPLICATION_ID, 1) => {
            db.pragma_update(None, "synchronous", "FULL")?;
            let change = db.unchecked_transaction()?;
            change.execute_batch(include_str!("sql/version_2.sql"))?;
            change.pragma_update(None, "user_version", VERSION)?;
            change.commit()?;
        }
        (APPLICATION_ID, VERSION) => db.pragma_update(None, "synchronous", "FULL")?,
        (APPLICATION_ID, newer) => return Ok(Err(format!("its format {newer} is newer than this release"))),
        _ => return Ok(Err("it is a database of another program".to_owned())),
    }
    Ok(Ok(()))
}

fn serve(db: Connection, mut queue: mpsc::Receiver<Request>) {
    while let Some(request) = queue.blocking_recv() {
        match request {
            Request::Issued { vehicle, tracked, reply } => {
                let result =
                    insert(&db, &vehicle, &tracked).map_err(|error| match error.sqlite_error_code() {
                        Some(SqliteError::ConstraintViolation) => {
                            let message = format!("there was a command {} before", tracked.command.id);
                            Problem::new(ErrorCode::Duplicate, message)
                        }
                        _ => {
                            error!(%error, "the audit log cannot be written: no command is sent");
                            unavailable(format!("the audit log cannot be written: {error}"))
                        }
                    });
                let _ = reply.send(result);
            }
            Request::Changed { tracked } => {
                if let Err(error) = update(&db, &tracked) {
                    error!(id = %tracked.command.id, %error, "what became of a command is not in the audit log");
                }
            }
            Request::Cancelled { id, who } => {
                let row = (id.0 as i64, wall_now().0, who);
                if let Err(error) = db.execute(include_str!("sql/insert_cancellation.sql"), row) {
                    error!(%id, %error, "a cancellation is not in the audit log");
                }
            }
            Request::Refused { refusal } => {
                if let Err(error) = insert_refusal(&db, &refusal) {
                    error!(%error, "a refused command is not in the audit log");
                }
            }
            Request::Close { reply } => {
                drop(db);
                let _ = reply.send(());
                return;
            }
            Request::List { vehicle, limit, reply } => {
                let rows = (vehicle.as_str(), i64::try_from(limit).unwrap_or(i64::MAX));
                let listed = select(&db, include_str!("sql/select_newest.sql"), rows);
                let listed = listed.map(|rows| {
                    rows.iter().map(|(vehicle, tracked)| CommandStatus::new(vehicle, tracked)).collect()
                });
                let _ = reply.send(listed.map_err(|error| error.to_string()));
            }
        }
    }
}

fn insert(db: &Connection, vehicle: &VehicleId, tracked: &Tracked) -> rusqlite::Result<()> {
    let command = &tracked.command;
    let change = db.unchecked_transaction()?;
    change.prepare_cached(include_str!("sql/insert_command.sql"))?.execute((
        command.id.0 as i64,
        command.id.to_string(),
        vehicle.as_str(),
        &command.issuer,
        command.issued.0,
        command.expires().0,
        &command.key,
        view::action(&command.action).to_string(),
        to_blob(command)?,
        name(&tracked.state()),
    ))?;
    put_steps(&change, tracked)?;
    change.commit()
}

fn insert_refusal(db: &Connection, refusal: &Refusal) -> rusqlite::Result<()> {
    let Refusal { first, last, count, issuer, vehicle, operation, problem } = refusal;
    let change = db.unchecked_transaction()?;
    change.prepare_cached(include_str!("sql/insert_refusal.sql"))?.execute((
        first.0,
        last.0,
        count.cast_signed(),
        issuer,
        vehicle,
        operation,
        name(&problem.code),
        &problem.message,
    ))?;
    change.prepare_cached(include_str!("sql/keep_refusals.sql"))?.execute(())?;
    change.commit()
}

fn update(db: &Connection, tracked: &Tracked) -> rusqlite::Result<()> {
    let change = db.unchecked_transaction()?;
    let cancel = tracked.cancel.map(|why| i64::from(why == CancelReason::Superseded));
    let state = tracked.state();
    let row = (tracked.command.id.0 as i64, name(&state), state.is_final(), cancel);
    change.prepare_cached(include_str!("sql/update_command.sql"))?.execute(row)?;
    put_steps(&change, tracked)?;
    change.commit()
}

fn put_steps(db: &Connection, tracked: &Tracked) -> rusqlite::Result<()> {
    let mut put = db.prepare_cached(include_str!("sql/put_step.sql"))?;
    for (number, step) in (0i64..).zip(&tracked.steps) {
        put.execute((
            tracked.command.id.0 as i64,
            number,
            name(&step.state),
            step.at.0,
            wall_now().0,
            step.reason.as_ref().map(name),
            &step.detail,
            to_blob(step)?,
        ))?;
    }
    Ok(())
}

/// Rows of `id, vehicle, body, cancel`.
fn select(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<(VehicleId, Tracked)>> {
    let mut commands = db.prepare_cached(sql)?;
    let mut steps = db.prepare_cached(include_str!("sql/select_steps.sql"))?;
    let rows = commands.query_map(parameters, |row| {
        let vehicle: String = row.get(1)?;
        let vehicle = vehicle.parse().map_err(|error| unreadable(1, error))?;
        let command: Command = from_blob(row, 2)?;
        let cancel = match row.get::<_, Option<i64>>(3)? {
            None => None,
            Some(0) => Some(CancelReason::Asked),
            Some(_) => Some(CancelReason::Superseded),
        };
        Ok((vehicle, Tracked { command, steps: Vec::new(), cancel }))
    })?;
    let mut found: Vec<(VehicleId, Tracked)> = rows.collect::<Result<_, _>>()?;
    for (_, tracked) in &mut found {
        let rows = steps.query_map([tracked.command.id.0 as i64], |row| from_blob::<Step>(row, 0))?;
        tracked.steps = rows.collect::<Result<_, _>>()?;
    }
    Ok(found)
}

fn to_blob(value: &impl Serialize) -> rusqlite::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn from_blob<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    postcard::from_bytes(row.get_ref(column)?.as_blob()?).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
}

/// The name of a state or reason, as clients see it.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_another_ground_has_is_told_from_one_that_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commands.sqlite");
        let [first, second] = [(); 2].map(|()| Connection::open(&path).unwrap());
        first.execute_batch("BEGIN EXCLUSIVE").unwrap();
        second.busy_timeout(Duration::ZERO).unwrap();
        let told = |sql| AuditError::of(&path, &second.execute_batch(sql).unwrap_err()).to_string();
        let locked = told("BEGIN EXCLUSIVE");
        assert!(locked.contains("another tern-ground") && locked.contains("history.path"), "{locked}");
        assert!(told("nonsense").contains("cannot use"));
    }
}
