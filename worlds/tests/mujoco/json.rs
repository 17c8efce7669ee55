//! JSON whose numbers are read exactly: serde_json's quick way is a bit off at times, and bodies on legs are chaotic.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Table(BTreeMap<String, Json>),
    Flag(bool),
    Nothing,
}

impl Json {
    pub fn read(text: &str) -> Json {
        let mut rest = text;
        value(&mut rest)
    }

    pub fn get(&self, key: &str) -> &Json {
        match self {
            Json::Table(fields) => fields.get(key).unwrap_or(&Json::Nothing),
            other => panic!("no table: {other:?}"),
        }
    }

    pub fn table(&self) -> &BTreeMap<String, Json> {
        match self {
            Json::Table(fields) => fields,
            other => panic!("no table: {other:?}"),
        }
    }

    pub fn list(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            other => panic!("no list: {other:?}"),
        }
    }

    pub fn number(&self) -> f64 {
        match self {
            Json::Number(number) => *number,
            other => panic!("no number: {other:?}"),
        }
    }

    pub fn numbers(&self) -> Vec<f64> {
        self.list().iter().map(Json::number).collect()
    }

    pub fn text(&self) -> &str {
        match self {
            Json::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    /// `true`, or a number that is not 0.
    pub fn flag(&self) -> bool {
        match self {
            Json::Flag(flag) => *flag,
            other => other.number() != 0.0,
        }
    }
}

fn skip(rest: &mut &str) {
    *rest = rest.trim_start();
}

fn eat(rest: &mut &str, mark: char) -> bool {
    skip(rest);
    let found = rest.strip_prefix(mark);
    *rest = found.unwrap_or(rest);
    found.is_some()
}

fn value(rest: &mut &str) -> Json {
    skip(rest);
    for (word, value) in [("true", Json::Flag(true)), ("false", Json::Flag(false)), ("null", Json::Nothing)] {
        if let Some(after) = rest.strip_prefix(word) {
            *rest = after;
            return value;
        }
    }
    if eat(rest, '[') {
        let mut items = Vec::new();
        while !eat(rest, ']') {
            items.push(value(rest));
            eat(rest, ',');
        }
        return Json::List(items);
    }
    if eat(rest, '{') {
        let mut fields = BTreeMap::new();
        while !eat(rest, '}') {
            let Json::Text(key) = value(rest) else { panic!("no key") };
            assert!(eat(rest, ':'));
            fields.insert(key, value(rest));
            eat(rest, ',');
        }
        return Json::Table(fields);
    }
    if eat(rest, '"') {
        // The recorded texts have no escapes.
        let (text, after) = rest.split_once('"').unwrap();
        *rest = after;
        return Json::Text(text.to_owned());
    }
    let end = rest.find(|c: char| !"+-.eE0123456789".contains(c)).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    Json::Number(number.parse().unwrap_or_else(|_| panic!("no number: {number:.20} before {after:.20}")))
}
