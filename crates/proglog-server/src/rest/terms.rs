//! The terms of an append: where, under which condition, by whom, and how durable.

use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use proglog_api::json::{self, Form};
use proglog_api::proglog::v1 as messages;
use proglog_broker::{Appended, Handle};
use proglog_log::{Append, Batch, Offset, Producer, Reason};

use crate::error::{Error, Failure, Missed, Result};
use crate::rest::answer;
use crate::rest::negotiate::Media;
use crate::rest::path::Names;
use crate::rest::query::{Query, digits};
use crate::state::App;

/// What the answer to an append that came too late holds at most.
const MISSED_RECORDS_MAX: usize = 100;
const MISSED_BYTES_MAX: usize = 256 << 10;

/// What holds for an append, from its path, query and headers.
pub(crate) struct Terms {
    pub(crate) log: Handle,
    pub(crate) expected: Option<Offset>,
    /// True to wait for the device, whatever the durability of the log.
    pub(crate) is_synced: bool,
    pub(crate) producer: Option<Producer>,
    /// The form of the records that the append has missed, if they are wanted.
    missed: Option<Form>,
}

/// The largest body of a batch: the batch in base64, and 64 KiB for the rest.
pub(crate) fn body_bytes_max(batch_bytes_max: u64) -> usize {
    let base64 = batch_bytes_max.div_ceil(3).saturating_mul(4);
    usize::try_from(base64.saturating_add(64 << 10)).unwrap_or(usize::MAX)
}

impl Terms {
    /// Takes the parameters that appends share, and finds the log.
    pub(crate) async fn of(
        app: &App,
        names: &Names,
        query: &mut Query<'_>,
        headers: &HeaderMap,
    ) -> Result<Self> {
        let expected = query.offset("expected_offset")?.map(Offset::new);
        let is_synced = query.flag("sync")?;
        let form = query.form()?;
        let wants_missed = query
            .parsed("on_conflict", "`records`", |text| {
                (text == "records").then_some(())
            })?
            .is_some();
        let producer = producer(headers)?;
        app.check_writable().map_err(Error::Append)?;
        let log = app.log(&names.log).await.map_err(Error::Append)?;
        Ok(Self {
            log,
            expected,
            is_synced,
            producer,
            missed: wants_missed.then_some(form),
        })
    }

    /// Adds the terms that are in the body.
    pub(crate) fn merge(
        &mut self,
        expected: Option<Offset>,
        producer: Option<Producer>,
        is_synced: bool,
    ) -> Result<()> {
        self.expected = same(self.expected, expected, "the expected offset")?;
        self.producer = same(self.producer.take(), producer, "the producer")?;
        self.is_synced |= is_synced;
        Ok(())
    }

    /// Appends a batch on these terms.
    pub(crate) async fn append(&self, app: &App, batch: Batch) -> Result<Appended> {
        self.append_part(app, 0, batch).await
    }

    /// Appends a batch that follows after so many records of the same stream, on these terms.
    pub(crate) async fn append_part(
        &self,
        app: &App,
        begun: u64,
        batch: Batch,
    ) -> Result<Appended> {
        let mut append = Append::new(batch);
        append.expected = self.expected.filter(|_| begun == 0);
        append.producer = self.part_of_producer(begun)?;
        match app.append_to(&self.log, append, self.is_synced).await {
            Ok(appended) => Ok(appended),
            Err(failure) => Err(self.explain(app, failure).await),
        }
    }

    /// Returns how many of the producer's records after so many the log has already; `None` if it has none of them.
    pub(crate) fn known_after(&self, begun: u64) -> Option<usize> {
        let producer = self.producer.as_ref()?;
        let progress = self.log.producer(producer.id())?;
        let next = producer.sequence().checked_add(begun)?;
        let known = progress.next_sequence.checked_sub(next)?;
        let is_same = progress.epoch == producer.epoch() && known > 0;
        is_same.then(|| usize::try_from(known).unwrap_or(usize::MAX))
    }

    /// The producer of a batch that follows after so many of its records.
    fn part_of_producer(&self, begun: u64) -> Result<Option<Producer>> {
        let Some(first) = &self.producer else {
            return Ok(None);
        };
        let sequence = first.sequence().checked_add(begun);
        let sequence = sequence
            .ok_or_else(|| Error::MalformedProducer("there are no sequence numbers left".into()))?;
        Producer::new(first.id(), first.epoch(), sequence)
            .map(Some)
            .map_err(|error| Error::MalformedProducer(error.to_string()))
    }

    /// Adds what the writer has missed to the error of an append that came too late.
    async fn explain(&self, app: &App, failure: Failure) -> Error {
        let (expected, end) = match failure.of_log().map(|error| &error.reason) {
            Some(Reason::EndMoved { expected, end }) => (*expected, *end),
            _ => return Error::Append(failure),
        };
        let missed = match self.missed {
            Some(form) => self.missed_since(app, expected, form).await,
            None => None,
        };
        Error::EndMoved {
            expected,
            end,
            missed,
        }
    }

    /// Reads what was appended from `offset` on, if it can be read.
    async fn missed_since(&self, app: &App, offset: Offset, form: Form) -> Option<Missed> {
        if offset > self.log.offsets().end {
            return None;
        }
        let read = self.log.read(offset, MISSED_RECORDS_MAX, MISSED_BYTES_MAX);
        let records = app.in_time(read).await.ok()?;
        let mut next_offset = offset.get();
        let mut json = vec![b'['];
        for record in records {
            if json.len() > 1 {
                json.push(b',');
            }
            next_offset = record.offset.get().saturating_add(1);
            form.write_record(&record.into(), &mut json);
        }
        json.push(b']');
        Some(Missed {
            records: String::from_utf8(json).ok()?,
            next_offset,
        })
    }
}

/// The response to an append of a batch.
pub(crate) fn answer(headers: &HeaderMap, media: Media, appended: &Appended) -> Response {
    let durability = answer::durability(appended.durability);
    let offsets = appended.offsets;
    let accepted = Media::accepted(headers, media, |media| {
        matches!(media, Media::Json | Media::Protobuf(_))
    });
    let mut response = match accepted {
        Media::Protobuf(_) => answer::protobuf(
            accepted,
            &messages::AppendResponse {
                start_offset: offsets.map_or(0, |offsets| offsets.start.get()),
                end_offset: offsets.map_or(0, |offsets| offsets.end.get()),
                duplicate: appended.is_duplicate,
                durability: answer::durability_message(durability).into(),
            },
        ),
        _ => answer::json(&json::AppendResponse {
            start_offset: offsets.map(|offsets| offsets.start.get()),
            end_offset: offsets.map(|offsets| offsets.end.get()),
            duplicate: appended.is_duplicate,
            durability,
        }),
    };
    answer::set_durability(&mut response, durability);
    response
}

/// One of two values that have to be the same if both are given.
fn same<T: PartialEq>(one: Option<T>, other: Option<T>, what: &str) -> Result<Option<T>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            let what = format!("the request and its body differ in {what}");
            Err(Error::ConflictingParameters(what))
        }
        (one, other) => Ok(one.or(other)),
    }
}

/// Reads the producer from the headers that name it.
fn producer(headers: &HeaderMap) -> Result<Option<Producer>> {
    const NAMES: [&str; 3] = ["producer-id", "producer-epoch", "producer-seq"];
    let malformed = |what: String| Err(Error::MalformedProducer(what));
    let values = NAMES.map(|name| headers.get(name));
    let [Some(id), Some(epoch), Some(sequence)] = values else {
        return if values.iter().all(Option::is_none) {
            Ok(None)
        } else {
            malformed("Producer-Id, Producer-Epoch and Producer-Seq belong together".into())
        };
    };
    if NAMES
        .iter()
        .any(|name| headers.get_all(*name).iter().count() > 1)
    {
        return malformed("a header of the producer is repeated".into());
    }
    let number = |value: &HeaderValue| value.to_str().ok().and_then(digits::<u64>);
    let (Some(epoch), Some(sequence)) = (number(epoch), number(sequence)) else {
        return malformed("Producer-Epoch and Producer-Seq are integers from 0".into());
    };
    match Producer::new(id.to_str().unwrap_or_default(), epoch, sequence) {
        Ok(producer) => Ok(Some(producer)),
        Err(error) => malformed(error.to_string()),
    }
}
