//! Producers: what marks a batch, so that one that is sent again is recognized.

use proglog_api::v1;

/// The longest id of a producer, in bytes.
const ID_LEN_MAX: usize = 64;

/// The most bytes that a producer adds to the encoding of a record: tags and lengths, the id, and three numbers.
pub(crate) const PRODUCER_LEN_MAX: usize = 2 + 2 + ID_LEN_MAX + 11 + 11 + 6;

/// The producer of a batch, and the place of the batch among those of the same producer.
///
/// It is stored in the first record of the batch. A [`Log`](crate::Log) stores it and checks nothing: what serves the
/// log compares it with the batches before. As in Kafka (KIP-98), a writer numbers what it sends, so that a batch that
/// is sent again is recognized; here it numbers records, not batches.
///
/// ```
/// use proglog_log::Producer;
///
/// let producer = Producer::new("load-7", 0, 1200)?;
/// assert_eq!((producer.id(), producer.epoch(), producer.sequence()), ("load-7", 0, 1200));
/// assert!(Producer::new("no spaces", 0, 0).is_err());
/// # Ok::<(), proglog_log::InvalidProducerId>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Producer {
    pub(crate) id: Box<str>,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    /// Records in the batch. Set by the log.
    pub(crate) count: u32,
}

/// The error for an id of a producer that is empty, longer than 64 bytes, or has a character other than `A-Z`, `a-z`,
/// `0-9`, `.`, `_`, `:` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id:?} is not 1 to 64 of A-Z a-z 0-9 . _ : - and so is no producer id")]
#[non_exhaustive]
pub struct InvalidProducerId {
    /// The id, up to its first 64 characters.
    pub id: String,
}

impl Producer {
    /// Returns the producer with the id `id` in generation `epoch`, whose next record has the number `sequence`.
    ///
    /// # Errors
    ///
    /// [`InvalidProducerId`].
    pub fn new(id: &str, epoch: u64, sequence: u64) -> Result<Self, InvalidProducerId> {
        if !is_id(id) {
            let id = id.chars().take(ID_LEN_MAX).collect();
            return Err(InvalidProducerId { id });
        }
        Ok(Self {
            id: id.into(),
            epoch,
            sequence,
            count: 0,
        })
    }

    /// Returns the id, which the writer has chosen.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the generation. A writer with a higher one fences those with lower ones.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the number of the batch's first record among those of this producer and epoch, from 0.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the number of records in the batch; 0 for one that was not appended.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }
}

pub(crate) fn is_id(id: &str) -> bool {
    let is_in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=ID_LEN_MAX).contains(&id.len()) && id.bytes().all(is_in_alphabet)
}

/// `None` if the id is invalid: only another program can have written that.
pub(crate) fn of_message(message: v1::Producer) -> Option<Box<Producer>> {
    let v1::Producer {
        id,
        epoch,
        sequence,
        count,
    } = message;
    is_id(&id).then(|| {
        let id = id.into();
        Box::new(Producer {
            id,
            epoch,
            sequence,
            count,
        })
    })
}

impl From<&Producer> for v1::Producer {
    fn from(producer: &Producer) -> Self {
        Self {
            id: producer.id.to_string(),
            epoch: producer.epoch,
            sequence: producer.sequence,
            count: producer.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn an_id_has_1_to_64_characters_of_its_alphabet() {
        let longest = "A".repeat(ID_LEN_MAX);
        for id in ["a", "9", "load-7", "a.b_c:d-e", &longest] {
            assert_eq!(Producer::new(id, 1, 2).unwrap().id(), id);
        }
        let too_long = "A".repeat(ID_LEN_MAX + 1);
        for id in ["", " ", "a/b", "ä", "a\0", &too_long] {
            let error = Producer::new(id, 1, 2).unwrap_err();
            assert!(id.starts_with(&error.id), "{error}");
        }
    }

    #[test]
    fn the_longest_encoding_is_bounded() {
        let longest = Producer {
            id: "A".repeat(ID_LEN_MAX).into(),
            epoch: u64::MAX,
            sequence: u64::MAX,
            count: u32::MAX,
        };
        let record = v1::Record {
            producer: Some((&longest).into()),
            ..v1::Record::default()
        };
        assert_eq!(record.encoded_len(), PRODUCER_LEN_MAX);
    }

    #[test]
    fn a_producer_goes_to_the_message_and_back() {
        let mut producer = Producer::new("load-7", 1, 2).unwrap();
        producer.count = 3;
        let message = v1::Producer::from(&producer);
        assert_eq!(of_message(message.clone()).as_deref(), Some(&producer));
        let id = "not an id".into();
        assert_eq!(of_message(v1::Producer { id, ..message }), None);
    }
}
