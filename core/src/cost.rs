//! What an app's sleep saves: a price for each hour of a replica, and the sum of it over the time asleep.
//!
//! No floats: amounts are whole millionths, and each sleep is rounded down to one. A sleep is counted at the price that
//! holds when it is added up, so that a new price does not change what was saved before.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};
use utoipa::ToSchema;

use crate::{quantity::HumanDuration, schema};

/// Millionths in one.
const MICRO: u128 = 1_000_000;
/// The highest price of a replica's hour.
const HIGHEST: u64 = 1_000_000;
const HOUR_MS: u128 = 3_600_000;

/// An amount of money, in millionths, written as a decimal number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

impl Amount {
    /// As Prometheus has numbers.
    #[allow(clippy::cast_precision_loss, reason = "a float has digits enough for a graph")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / MICRO as f64
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / MICRO, self.0 % MICRO);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is no amount: write digits, with at most 6 behind the point, such as \"0.526\"")
        };
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(rest) || rest.len() > 6 {
            return Err(wrong());
        }
        let whole: u128 = whole.parse().map_err(|_| wrong())?;
        let rest: u128 = format!("{rest:0<6}").parse().map_err(|_| wrong())?;
        whole.checked_mul(MICRO).and_then(|whole| whole.checked_add(rest)).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AmountVisitor)
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount in quotes, such as \"0.526\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"type": "string", "maxLength": 48})
    }
}

/// A currency, by its three letters (ISO 4217).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Its letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Default for Currency {
    fn default() -> Self {
        Self(*b"USD")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Currency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letters = <[u8; 3]>::try_from(text.as_bytes()).ok();
        let letters = letters.filter(|letters| letters.iter().all(u8::is_ascii_uppercase));
        letters
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no currency: write its three capital letters, such as USD"))
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"type": "string", "maxLength": 3})
    }
}

/// What a replica costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostSpec {
    /// What one replica costs in an hour, such as "0.526": a decimal number in quotes, 0 to 1000000, at most 6 digits behind
    /// the point.
    #[schemars(transform = price())]
    pub per_replica_hour: Amount,
    /// In which currency: three capital letters. Default: USD.
    #[serde(default)]
    #[schemars(transform = currency())]
    pub currency: Currency,
}

fn price() -> impl schema::Change {
    let rule = "self.matches('^(1000000([.]0{1,6})?|[0-9]{1,6}([.][0-9]{1,6})?)$')";
    let message = "write what a replica costs in an hour as a number in quotes, from 0 to 1000000, with at most 6 digits behind \
                   the point, such as \"0.526\"";
    schema::checked(14, rule, message)
}

fn currency() -> impl schema::Change {
    schema::checked(
        3,
        "self.matches('^[A-Z]{3}$')",
        "write the three capital letters of a currency, such as USD",
    )
}

/// What a replica costs, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// In an hour.
    pub per_replica_hour: Amount,
    /// In this.
    pub currency: Currency,
}

impl CostSpec {
    /// Whether it is in its range.
    ///
    /// # Errors
    /// What is wrong with the price.
    pub fn resolve(&self) -> Result<Cost, String> {
        if self.per_replica_hour > Amount(u128::from(HIGHEST) * MICRO) {
            return Err(format!("{} is out of range: 0 to {HIGHEST}", self.per_replica_hour));
        }
        Ok(Cost { per_replica_hour: self.per_replica_hour, currency: self.currency })
    }
}

impl Cost {
    /// What so many replicas cost in that time.
    pub fn of(&self, replicas: u32, time: Duration) -> Amount {
        let each = self.per_replica_hour.0.saturating_mul(replicas.into());
        Amount(each.saturating_mul(time.as_millis()) / HOUR_MS)
    }
}

/// How long an app was asleep, and what that saved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Savings {
    /// How long it was asleep in all, this sleep not included.
    pub asleep: HumanDuration,
    /// What that saved, if it is known what a replica costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// In which currency. With another one the amount begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

impl Savings {
    /// Adds a sleep of so many replicas, at least one.
    pub fn add(&mut self, slept: Duration, replicas: u32, cost: Option<&Cost>) {
        // Whole milliseconds are what a duration is written in.
        let slept = Duration::from_millis(u64::try_from(slept.as_millis()).unwrap_or(u64::MAX));
        self.asleep = HumanDuration(self.asleep.0.saturating_add(slept));
        let Some(cost) = cost else { return };
        let before = self.amount.filter(|_| self.currency == Some(cost.currency)).unwrap_or_default();
        self.amount = Some(before.plus(cost.of(replicas.max(1), slept)));
        self.currency = Some(cost.currency);
    }

    /// With a sleep that goes on.
    #[must_use]
    pub fn with(&self, slept: Option<Duration>, replicas: u32, cost: Option<&Cost>) -> Self {
        let mut all = self.clone();
        all.add(slept.unwrap_or_default(), replicas, cost);
        all
    }

    /// As the API shows it. `rate` is what an hour saves at present, of how many replicas at which cost, while it sleeps.
    pub fn told(&self, rate: Option<(u32, &Cost)>) -> Option<Saved> {
        let (amount, currency) = (self.amount?, self.currency?);
        let hour = Duration::from_secs(3_600);
        let per_hour = rate.map(|(replicas, cost)| cost.of(replicas.max(1), hour).to_string());
        Some(Saved { amount: amount.to_string(), currency: currency.to_string(), per_hour })
    }
}

/// What was saved, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// So much, as a decimal number.
    #[schema(example = "12.34")]
    pub amount: String,
    /// In which currency.
    #[schema(example = "USD")]
    pub currency: String,
    /// What each further hour saves, while it sleeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.526")]
    pub per_hour: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(price: &str) -> Cost {
        let spec = CostSpec { per_replica_hour: price.parse().unwrap(), currency: Currency::default() };
        spec.resolve().unwrap()
    }

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, written) in
            [("0.526", "0.526"), ("0", "0"), ("12.50", "12.5"), ("7.000001", "7.000001"), ("007", "7")]
        {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), written);
        }
        for wrong in ["", ".5", "5.", "1e3", "-1", "0,5", "1.1234567", " 1", "９"] {
            assert!(wrong.parse::<Amount>().is_err(), "{wrong:?}");
        }
        assert!(serde_json::from_str::<Amount>("0.5").unwrap_err().to_string().contains("in quotes"));
        assert!("usd".parse::<Currency>().is_err() && "EURO".parse::<Currency>().is_err());
        let dear =
            CostSpec { per_replica_hour: "1000000.000001".parse().unwrap(), currency: Currency::default() };
        assert!(dear.resolve().unwrap_err().contains("0 to 1000000"));
    }

    #[test]
    fn a_new_price_does_not_change_what_was_saved_and_a_new_currency_begins_anew() {
        let hour = Duration::from_secs(3_600);
        let mut savings = Savings::default();
        savings.add(hour, 1, None);
        assert_eq!((savings.asleep.0, savings.told(None)), (hour, None));
        savings.add(hour, 2, Some(&cost("0.5")));
        savings.add(hour, 0, Some(&cost("3")));
        let saved = savings.told(Some((2, &cost("0.25")))).unwrap();
        assert_eq!(
            (saved.amount.as_str(), saved.currency.as_str(), saved.per_hour.as_deref()),
            ("4", "USD", Some("0.5"))
        );
        let euros = Cost { currency: "EUR".parse().unwrap(), ..cost("1") };
        assert_eq!(savings.with(Some(hour), 1, Some(&euros)).told(None).unwrap().amount, "1");
        assert_eq!(savings.with(Some(hour), 1, None).asleep.0, 4 * hour);
    }

    proptest! {
        #[test]
        fn sums_grow_are_exact_to_a_millionth_a_sleep_and_never_overflow(
            price in 0..=HIGHEST * 1_000_000,
            sleeps in proptest::collection::vec((0u64..30 * 366 * 86_400_000, 1u32..=10_000), 1..20),
        ) {
            let cost = Cost { per_replica_hour: Amount(price.into()), currency: Currency::default() };
            let (mut savings, mut exact) = (Savings::default(), 0u128);
            for (ms, replicas) in &sleeps {
                let before = savings.amount.unwrap_or_default();
                savings.add(Duration::from_millis(*ms), *replicas, Some(&cost));
                prop_assert!(savings.amount.unwrap() >= before);
                exact += u128::from(price) * u128::from(*replicas) * u128::from(*ms);
            }
            let amount = savings.amount.unwrap();
            prop_assert!(amount.0 <= exact / HOUR_MS && exact / HOUR_MS - amount.0 <= sleeps.len() as u128);
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
            let json = serde_json::to_string(&savings).unwrap();
            prop_assert_eq!(serde_json::from_str::<Savings>(&json).unwrap(), savings);
        }
    }
}
