//! Pictures read back by an independent reader of XML, for tests.

use std::collections::BTreeMap;

use ::xml::reader::{EventReader, XmlEvent};

/// An element, the outermost first.
#[derive(Debug)]
pub(super) struct Read {
    pub name: String,
    attributes: BTreeMap<String, String>,
    /// The words right inside.
    pub text: String,
}

impl Read {
    /// An attribute; empty where there is none.
    pub fn get(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }

    pub fn number(&self, attribute: &str) -> f32 {
        self.get(attribute).parse().unwrap_or_else(|_| panic!("{attribute} of {self:?} is no number"))
    }
}

/// All elements of an SVG; panics where it is no XML, or has numbers that are none.
pub(super) fn elements(svg: &str) -> Vec<Read> {
    let numbers = svg.replace("information", "");
    assert!(!numbers.contains("NaN") && !numbers.contains("inf"), "a number that is none");
    let (mut all, mut open): (Vec<Read>, Vec<usize>) = Default::default();
    for event in EventReader::new(svg.as_bytes()) {
        match event.unwrap_or_else(|e| panic!("{e}")) {
            XmlEvent::StartElement { name, attributes, .. } => {
                let attributes = attributes.into_iter().map(|a| (a.name.local_name, a.value)).collect();
                open.push(all.len());
                all.push(Read { name: name.local_name, attributes, text: String::new() });
            }
            XmlEvent::EndElement { .. } => _ = open.pop(),
            XmlEvent::Characters(words) => all[open[open.len() - 1]].text += &words,
            _ => {}
        }
    }
    assert!(open.is_empty() && all[0].name == "svg");
    all
}
