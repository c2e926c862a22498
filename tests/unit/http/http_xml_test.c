/* XML of object stores: events of real answers (the examples of Amazon's and Azure's reference
 * pages), and hostile documents, none of which may be taken for an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "http/xml.h"

static sl_rc note(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    (void)err;
    sl_buf_addf(arg, "%.*s=%.*s|", SL_STR_ARG(path), SL_STR_ARG(text));
    return SL_OK;
}

static void assert_events(struct sl_bytes document, const char *want)
{
    SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
    struct sl_err err = {0};
    if (sl_xml_read(document, note, &got, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(sl_buf_cstr(&got), want);
}

#define TEXT(s) SL_BYTES((s), strlen(s))

static const char initiate[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Bucket>example-bucket</Bucket><Key>example-object</Key>"
    "<UploadId>VXBsb2FkIElEIGZvciA2aWWpbmcncyBteS1tb3ZpZS5tMnRzIHVwbG9hZA</UploadId>"
    "</InitiateMultipartUploadResult>";
static const char initiate_events[] = "InitiateMultipartUploadResult/Bucket=example-bucket|"
                                      "InitiateMultipartUploadResult/Key=example-object|"
                                      "InitiateMultipartUploadResult/UploadId="
                                      "VXBsb2FkIElEIGZvciA2aWWpbmcncyBteS1tb3ZpZS5tMnRzIHVwbG9hZA|"
                                      "InitiateMultipartUploadResult=|";

static void answers_of_the_reference_become_events(void **state SL_UNUSED)
{
    assert_events(TEXT(initiate), initiate_events);
    assert_events(TEXT("<Error><Code>SlowDown</Code><Message>Please reduce</Message></Error>"),
                  "Error/Code=SlowDown|Error/Message=Please reduce|Error=|");
    assert_events(
        TEXT("\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>"
             "<CommittedBlocks /><UncommittedBlocks><Block><Name>QQ==</Name><Size>9</Size>"
             "</Block></UncommittedBlocks></BlockList>"),
        "BlockList/CommittedBlocks=|BlockList/UncommittedBlocks/Block/Name=QQ==|"
        "BlockList/UncommittedBlocks/Block/Size=9|BlockList/UncommittedBlocks/Block=|"
        "BlockList/UncommittedBlocks=|BlockList=|");
}

static void text_is_what_xml_says_it_is(void **state SL_UNUSED)
{
    assert_events(TEXT("<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x20AC;</a>"), "a=<&>\"'A\xE2\x82\xAC|");
    assert_events(TEXT("<a>x<![CDATA[<b>&amp;]]>y<!-- no -->z</a>"), "a=x<b>&amp;yz|");
    assert_events(TEXT("<a>1<b>2</b>3</a>"), "a/b=2|a=13|");
    assert_events(TEXT("<s:a xmlns:s='u' q='&amp;'><s:b>1</s:b><c/></s:a>"), "a/b=1|a/c=|a=|");
    assert_events(TEXT("<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>"), "a=\xC3\xA9|");
    assert_events(SL_BYTES("\xFF\xFE<\0a\0>\0x\0<\0/\0a\0>\0", 18), "a=x|");
}

static void assert_refused(struct sl_bytes document)
{
    SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
    struct sl_err err = {0};
    assert_int_equal(sl_xml_read(document, note, &got, &err), SL_EBADREQ);
    assert_string_not_equal(err.text, "");
}

static void bombs_are_refused(void **state SL_UNUSED)
{
    static const char laughs[] = "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\">"
                                 "<!ENTITY lol2 \"&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;\">"
                                 "<!ENTITY lol3 \"&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;\">"
                                 "<!ENTITY lol4 \"&lol3;&lol3;&lol3;&lol3;&lol3;&lol3;&lol3;\">"
                                 "]><lolz>&lol4;</lolz>";
    assert_refused(TEXT(laughs));
    assert_refused(TEXT("<!DOCTYPE a><a/>"));
    assert_refused(TEXT("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"));
    assert_refused(TEXT("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>"));
    assert_refused(TEXT("<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://127.0.0.1:1/\">%x;]><a/>"));
    assert_refused(TEXT("<a>&x;</a>"));
    assert_refused(TEXT("<?php echo 1; ?><a/>"));
    assert_refused(TEXT("<a><?b?></a>"));
}

/* Levels, text and names at their limits and one above. */
static void depth_text_and_names_are_bounded(void **state SL_UNUSED)
{
    for (size_t levels = SL_XML_DEPTH_MAX; levels <= SL_XML_DEPTH_MAX + 1; levels++) {
        SL_AUTO(sl_buf) doc = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
        for (size_t i = 0; i < levels; i++) {
            sl_buf_add_text(&doc, "<a>");
        }
        for (size_t i = 0; i < levels; i++) {
            sl_buf_add_text(&doc, "</a>");
        }
        assert_int_equal(sl_xml_read(sl_buf_view(&doc), note, &got, NULL),
                         levels == SL_XML_DEPTH_MAX ? SL_OK : SL_EBADREQ);
    }
    for (size_t len = SL_XML_TEXT_MAX; len <= SL_XML_TEXT_MAX + 1; len++) {
        for (int as_name = 0; as_name < 2; as_name++) {
            SL_AUTO(sl_buf) doc = SL_BUF_EMPTY;
            SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
            sl_buf_add_text(&doc, as_name ? "<" : "<a>");
            for (size_t i = 0; i < len; i++) {
                sl_buf_add_u8(&doc, 'x');
            }
            sl_buf_add_text(&doc, as_name ? "/>" : "</a>");
            assert_int_equal(sl_xml_read(sl_buf_view(&doc), note, &got, NULL),
                             len == SL_XML_TEXT_MAX ? SL_OK : SL_EBADREQ);
        }
    }
}

static void no_part_of_a_document_is_a_document(void **state SL_UNUSED)
{
    for (size_t len = 0; len < strlen(initiate); len++) {
        assert_refused(SL_BYTES(initiate, len));
    }
}

static void garbage_is_refused(void **state SL_UNUSED)
{
    static const struct sl_str rows[] = {
        SL_STR("<a>\xFF\xFE</a>"),
        SL_STR("<a>\xC3(</a>"),
        SL_STR("<a>\xED\xA0\x80</a>"),
        SL_STR("<a>\0</a>"),
        SL_STR("<a>&#0;</a>"),
        SL_STR("<a></b>"),
        SL_STR("<a/><b/>"),
        SL_STR("{\"Code\":1}"),
        SL_STR("<html><br></html>"),
        SL_STR("<a x=1/>"),
        SL_STR("\x1f\x8b\x08"),
        SL_STR("<a/>x"),
        SL_STR("<?xml version='1.0' encoding='klingon'?><a/>"),
        SL_STR("\xFF\xFE<a/>"),
    };
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        assert_refused(sl_str_bytes(rows[i]));
    }
}

static sl_rc fail_at_key(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    (void)text;
    ++*(int *)arg;
    return sl_str_is(path, "InitiateMultipartUploadResult/Key") ? SL_FAIL(err, SL_ECONFLICT, "mine")
                                                                : SL_OK;
}

static void a_failure_of_the_caller_ends_it(void **state SL_UNUSED)
{
    struct sl_err err = {0};
    int calls = 0;
    assert_int_equal(sl_xml_read(TEXT(initiate), fail_at_key, &calls, &err), SL_ECONFLICT);
    assert_string_equal(err.text, "mine");
    assert_int_equal(calls, 2);
}

static sl_rc nothing(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    (void)arg, (void)path, (void)text, (void)err;
    return SL_OK;
}

static void refused_memory_is_told(void **state SL_UNUSED)
{
    for (int64_t n = 0;; n++) {
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_xml_read(TEXT(initiate), nothing, NULL, NULL);
        sl_fault_clear();
        assert_int_equal(sl_mem_live(), 0);
        if (rc == SL_OK) {
            assert_true(n > 1);
            return;
        }
        assert_int_equal(rc, SL_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_the_reference_become_events),
        cmocka_unit_test(text_is_what_xml_says_it_is),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(depth_text_and_names_are_bounded),
        cmocka_unit_test(no_part_of_a_document_is_a_document),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_failure_of_the_caller_ends_it),
        cmocka_unit_test(refused_memory_is_told),
    };
    return cmocka_run_group_tests_name("http xml", tests, NULL, NULL);
}
