//! Reads cases as JSON from stdin, writes their Bincode as JSON to stdout: name -> hexadecimal digits.
//! Every case is also read back and compared with what was written.

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::{Debug, Formatter};
use std::io::{read_to_string, stdin};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// A plain value, its variants in the order of the workflow file format.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Values),
}

type Values = Ordered<Value>;

/// A map that keeps the order of its keys.
#[derive(Debug, PartialEq)]
struct Ordered<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Ordered<T>;

            fn expecting(&self, formatter: &mut Formatter) -> std::fmt::Result {
                formatter.write_str("a map with texts as keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some(pair) = pairs.next_entry()? {
                    found.push(pair);
                }
                Ok(Ordered(found))
            }
        }

        deserializer.deserialize_map(Pairs(std::marker::PhantomData))
    }
}

/// A workflow file: the keys that most of it is made of, and all others in `more`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Document {
    symphony: u32,
    name: String,
    version: String,
    nodes: Ordered<Node>,
    more: Values,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Node {
    Operator(Doing),
    Instrument(Doing),
    Control(Doing),
    Workflow(Doing),
    Command(Doing),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Doing {
    what: String,
    inputs: Option<Values>,
    more: Option<Values>,
}

/// Every kind of number, and fixed and counted groups of them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Numbers {
    flag: bool,
    unsigned: (u8, u16, u32, u64),
    signed: (i8, i16, i32, i64),
    single: f32,
    double: f64,
    pairs: Vec<(i64, String)>,
    table: BTreeMap<String, Vec<bool>>,
}

/// A message between processes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Envelope {
    id: Uuid,
    answers: Option<Uuid>,
    sent_at: SystemTime,
    patience: Option<Duration>,
    priority: Priority,
    source: Endpoint,
    target: Endpoint,
    payload: Payload,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Priority {
    Low,
    Usual,
    High,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Endpoint {
    Hub,
    Extension { name: String, instance: u32 },
    Topic { topic: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Payload {
    Request { method: String, params: Value },
    Response { status: u16, body: Value },
    Event { data: Vec<u8>, headers: BTreeMap<String, String> },
    Failure { code: i32, message: String, cause: Option<Box<Payload>> },
}

#[derive(Deserialize)]
struct Cases {
    values: BTreeMap<String, Value>,
    documents: BTreeMap<String, Document>,
    numbers: BTreeMap<String, Numbers>,
    envelopes: BTreeMap<String, Envelope>,
}

fn add<T>(vectors: &mut BTreeMap<String, String>, group: &str, cases: &BTreeMap<String, T>)
where
    T: Debug + PartialEq + Serialize + DeserializeOwned,
{
    for (name, case) in cases {
        let bytes = bincode::serialize(case).expect("every case can be written");
        let back: T = bincode::deserialize(&bytes).expect("what was written can be read");
        assert_eq!(case, &back);
        let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        vectors.insert(format!("{group}/{name}"), digits);
    }
}

fn main() {
    let cases: Cases =
        serde_json::from_str(&read_to_string(stdin()).expect("stdin is text")).expect("stdin holds cases");
    let mut vectors = BTreeMap::new();
    add(&mut vectors, "values", &cases.values);
    add(&mut vectors, "documents", &cases.documents);
    add(&mut vectors, "numbers", &cases.numbers);
    add(&mut vectors, "envelopes", &cases.envelopes);
    println!("{}", serde_json::to_string_pretty(&vectors).expect("vectors are text"));
}
