#include "io/aws_xml.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check_text(const char *encoded, const char *expected)
{
    struct buf b;
    buf_init(&b, 1000);
    xml_text(str_of(encoded), &b);
    assert_string_equal(buf_cstr(&b), expected);
    buf_free(&b);
}

static void text(void **state)
{
    (void)state;
    check_text("a&amp;b&lt;&gt;&quot;&apos;", "a&b<>\"'");
    check_text("&#233;&#xE9;&#x1F600;&#x20AC;", "\u00e9\u00e9\U0001f600\u20ac");
    check_text("&#0;&#xD800;&#x7FFFFFFF;", "\ufffd\ufffd&#x7FFFFFFF;"); /* too long to be one */
    check_text("&nbsp; &amp &; &#; &#x; &#12a; &", "&nbsp; &amp &; &#; &#x; &#12a; &");
    check_text("<![CDATA[<a&amp;>]]>x<!-- <b> -->y<b c='>'>z</b>", "<a&amp;>xyz");
    check_text("x<unfinished", "x");
    check_text("", "");
}

static void elements(void **state)
{
    (void)state;
    struct str doc =
        STR("<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a 'b'>]><!-- <Key>no</Key> -->"
            "<s3:List xmlns:s3='u>'><Key/>\n<s3:Key a=\">\">k<Key>in</Key></s3:Key >"
            "<Keys>1</Keys><Key>last</Key><Key>never ends");
    assert_true(str_is(xml_root(doc), "List"));
    struct str rest = doc, v;
    assert_true(xml_next(&rest, "Key", &v));
    assert_int_equal(v.n, 0);
    assert_true(xml_next(&rest, "Key", &v));
    assert_true(str_is(v, "k<Key>in</Key>"));
    assert_true(xml_next(&rest, "Key", &v));
    assert_true(str_is(v, "last"));
    assert_false(xml_next(&rest, "Key", &v));
    assert_true(str_is(xml_first(doc, "Keys"), "1"));
    assert_int_equal(xml_first(doc, "None").n, 0);
    assert_int_equal(xml_root(STR("plain text")).n, 0);
    assert_int_equal(xml_root((struct str){0}).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(text), cmocka_unit_test(elements)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
