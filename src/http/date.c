#include "http/date.h"

#include <stdbool.h>
#include <string.h>

#include "http/chars.h"

static const char DAY_NAMES[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char LONG_DAY_NAMES[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                           "Thursday", "Friday", "Saturday"};
static const char MONTH_NAMES[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { DAY_S = 24 * 60 * 60 };

/* 0001-01-01T00:00:00 and 9999-12-31T23:59:59. */
static const int64_t UNIX_MIN = -62135596800;
static const int64_t UNIX_MAX = 253402300799;

typedef struct civil_time {
    int year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
    int hour;
    int minute;
    int second; /* 60 in a leap second */
} civil_time;

/* Days from 1970-01-01 to a date of the years 1 to 9999. Years are counted from March, so that
 * the leap day is the last of its year. */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t days_before_month = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;
    return 365 * y + y / 4 - y / 100 + y / 400 + days_before_month + day - 719469;
}

static bool is_leap_year(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
    static const int DAYS[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap_year(year) ? 29 : DAYS[month - 1];
}

static civil_time civil_from_unix(int64_t unix_s)
{
    int64_t days = unix_s / DAY_S;
    int64_t second = unix_s % DAY_S;
    if (second < 0) {
        second += DAY_S;
        days--;
    }
    /* A guess by the mean length of a year, which is wrong by one at most. */
    int year = (int)(1970 + days * 400 / 146097);
    while (days_from_date(year, 1, 1) > days)
        year--;
    while (days_from_date(year + 1, 1, 1) <= days)
        year++;
    int month = 1;
    int day = (int)(days - days_from_date(year, 1, 1)) + 1;
    while (day > days_in_month(year, month))
        day -= days_in_month(year, month++);
    return (civil_time){
        year, month, day, (int)second / 3600, (int)second / 60 % 60, (int)second % 60};
}

static void put_digits(char *dst, int value, int count)
{
    while (count--) {
        dst[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

void http_date_format(int64_t unix_s, char dst[HTTP_DATE_LEN + 1])
{
    if (unix_s < UNIX_MIN)
        unix_s = UNIX_MIN;
    if (unix_s > UNIX_MAX)
        unix_s = UNIX_MAX;
    civil_time t = civil_from_unix(unix_s);
    int64_t weekday =
        (days_from_date(t.year, t.month, t.day) + 4) % 7; /* 1970 began on a Thursday */
    if (weekday < 0)
        weekday += 7;
    memcpy(dst, "Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_LEN + 1);
    memcpy(dst, DAY_NAMES[weekday], 3);
    put_digits(dst + 5, t.day, 2);
    memcpy(dst + 8, MONTH_NAMES[t.month - 1], 3);
    put_digits(dst + 12, t.year, 4);
    put_digits(dst + 17, t.hour, 2);
    put_digits(dst + 20, t.minute, 2);
    put_digits(dst + 23, t.second, 2);
}

/* Takes exactly `count` digits off the front; false when they are not there. */
static bool take_digits(slice *text, size_t count, int *value)
{
    if (text->len < count ||
        http_char_span((const uint8_t *)text->data, count, HTTP_CHAR_DIGIT) != count)
        return false;
    *value = 0;
    for (size_t i = 0; i < count; i++)
        *value = *value * 10 + (text->data[i] - '0');
    *text = slice_of(text->data + count, text->len - count);
    return true;
}

static bool take_text(slice *text, const char *wanted)
{
    slice prefix = slice_str(wanted);
    if (!slice_starts_with(*text, prefix))
        return false;
    *text = slice_of(text->data + prefix.len, text->len - prefix.len);
    return true;
}

static bool take_month(slice *text, int *month)
{
    for (*month = 1; *month <= 12; (*month)++)
        if (take_text(text, MONTH_NAMES[*month - 1]))
            return true;
    return false;
}

static bool take_day_name(slice *text)
{
    for (int i = 0; i < 7; i++)
        if (take_text(text, LONG_DAY_NAMES[i]) || take_text(text, DAY_NAMES[i]))
            return true;
    return false;
}

static bool take_clock(slice *text, civil_time *t)
{
    return take_digits(text, 2, &t->hour) && take_text(text, ":") &&
           take_digits(text, 2, &t->minute) && take_text(text, ":") &&
           take_digits(text, 2, &t->second);
}

/* "06 Nov 1994 08:49:37 GMT" */
static bool take_imf_fixdate(slice *text, civil_time *t)
{
    return take_digits(text, 2, &t->day) && take_text(text, " ") && take_month(text, &t->month) &&
           take_text(text, " ") && take_digits(text, 4, &t->year) && take_text(text, " ") &&
           take_clock(text, t) && take_text(text, " GMT");
}

/* "06-Nov-94 08:49:37 GMT" */
static bool take_rfc850_date(slice *text, civil_time *t)
{
    return take_digits(text, 2, &t->day) && take_text(text, "-") && take_month(text, &t->month) &&
           take_text(text, "-") && take_digits(text, 2, &t->year) && take_text(text, " ") &&
           take_clock(text, t) && take_text(text, " GMT");
}

/* "Nov  6 08:49:37 1994" */
static bool take_asctime_date(slice *text, civil_time *t)
{
    return take_month(text, &t->month) && take_text(text, " ") &&
           (take_text(text, " ") ? take_digits(text, 1, &t->day) : take_digits(text, 2, &t->day)) &&
           take_text(text, " ") && take_clock(text, t) && take_text(text, " ") &&
           take_digits(text, 4, &t->year);
}

static bool is_valid(const civil_time *t)
{
    return t->year >= 1 && t->day >= 1 && t->day <= days_in_month(t->year, t->month) &&
           t->hour < 24 && t->minute < 60 && t->second <= 60;
}

static int64_t unix_from_civil(const civil_time *t)
{
    return days_from_date(t->year, t->month, t->day) * DAY_S + t->hour * 3600 + t->minute * 60 +
           t->second;
}

/* RFC 9110 5.6.7: a date that seems to be more than 50 years ahead is in the past. */
static void set_century(civil_time *t, int64_t now_s)
{
    if (now_s < UNIX_MIN || now_s > UNIX_MAX)
        now_s = 0;
    int this_year = civil_from_unix(now_s).year;
    t->year += this_year / 100 * 100;
    if (t->year > this_year + 50)
        t->year -= 100;
    else if (t->year < this_year - 49)
        t->year += 100;
}

int http_date_parse(slice text, int64_t now_s, int64_t *unix_s)
{
    civil_time t = {0};
    bool is_read = false;
    if (!take_day_name(&text))
        return CARAFE_ERR_BAD_REQUEST;
    if (take_text(&text, ", ")) {
        if (text.len > 2 && text.data[2] == '-') {
            is_read = take_rfc850_date(&text, &t);
            set_century(&t, now_s);
        } else {
            is_read = take_imf_fixdate(&text, &t);
        }
    } else if (take_text(&text, " ")) {
        is_read = take_asctime_date(&text, &t);
    }
    if (!is_read || text.len || !is_valid(&t))
        return CARAFE_ERR_BAD_REQUEST;
    *unix_s = unix_from_civil(&t);
    return 0;
}
