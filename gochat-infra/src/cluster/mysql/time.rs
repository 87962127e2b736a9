//! Unix milliseconds ↔ DATETIME(3) in UTC.

use diesel::mysql::data_types::{MysqlTime, MysqlTimestampType};

const DAY: i64 = 86_400_000;
/// 9999-12-31 23:59:59.999, the last instant of the type.
const LAST: i64 = 253_402_300_799_999;

/// The instant as the database keeps it; instants beyond the type are cut to its ends.
pub(super) fn to_mysql(ms: i64) -> MysqlTime {
    let ms = ms.clamp(0, LAST);
    let (year, month, day) = civil(ms / DAY);
    let rest = ms % DAY;
    let part = |n: i64| u32::try_from(n).unwrap_or(0);
    MysqlTime::new(
        part(year),
        part(month),
        part(day),
        part(rest / 3_600_000),
        part(rest / 60_000 % 60),
        part(rest / 1_000 % 60),
        u64::from(part(rest % 1_000 * 1_000)),
        false,
        MysqlTimestampType::MYSQL_TIMESTAMP_DATETIME,
        0,
    )
}

/// Unix milliseconds.
pub(super) fn from_mysql(t: &MysqlTime) -> i64 {
    let seconds = i64::from(t.hour) * 3_600 + i64::from(t.minute) * 60 + i64::from(t.second);
    let micros = i64::try_from(t.second_part).unwrap_or(0);
    days(i64::from(t.year), i64::from(t.month), i64::from(t.day)) * DAY
        + seconds * 1_000
        + micros / 1_000
}

/// Days since 1970-01-01 → year, month, day. Years begin in March here, so that the leap day is
/// the last one; 400 years have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Year, month, day → days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_comes_back() {
        for day in (0..=LAST / DAY).step_by(13) {
            let ms = day * DAY + 45_296_789;
            assert_eq!(from_mysql(&to_mysql(ms)), ms);
        }
        for ms in [
            0,
            1,
            951_782_399_999,
            951_782_400_000,
            1_700_000_000_123,
            LAST,
        ] {
            assert_eq!(from_mysql(&to_mysql(ms)), ms);
        }
    }

    #[test]
    fn known_instants_have_their_date() {
        let t = to_mysql(1_700_000_000_123);
        assert_eq!((t.year, t.month, t.day), (2023, 11, 14));
        assert_eq!(
            (t.hour, t.minute, t.second, t.second_part),
            (22, 13, 20, 123_000)
        );
        let leap = to_mysql(951_782_400_000);
        assert_eq!((leap.year, leap.month, leap.day), (2000, 2, 29));
        let far = to_mysql(i64::MAX);
        assert_eq!((far.year, far.month, far.day), (9999, 12, 31));
    }
}
