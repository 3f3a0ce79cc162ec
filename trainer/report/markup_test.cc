// Whatever a run's files hold stays text on the page.
#include "trainer/report/markup.h"

#include <gtest/gtest.h>

#include <limits>

#include "parallel/base/check.h"
#include "trainer/report/config_listing.h"

namespace cloze {
namespace {

TEST(MarkupTest, TagsAndQuotesAreEscaped) {
  EXPECT_EQ(escaped("<script>alert('x')</script> & \"y\""),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;");
  EXPECT_EQ(escaped("多语言 ü"), "多语言 ü");
}

TEST(MarkupTest, WhatIsNoTextIsReplaced) {
  EXPECT_EQ(escaped(std::string("a\0b\x1b[31m", 8)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD[31m");
  EXPECT_EQ(escaped("ok \xff"), "ok \xEF\xBF\xBD");
}

TEST(MarkupTest, LongTextsAreCutBetweenCharacters) {
  EXPECT_EQ(escaped("abcdef", 4), "abcd…");
  EXPECT_EQ(escaped("多多多", 4), "多…");
  EXPECT_EQ(escaped("多多多", 9), "多多多");
}

TEST(MarkupTest, JsonCannotEndItsScriptElement) {
  EXPECT_EQ(json_text("</script><!--\"\\\n"),
            "\"\\u003c/script\\u003e\\u003c!--\\u0022\\u005c\\u000a\"");
  EXPECT_EQ(json_number(1.0 / 3), "0.333333");
  EXPECT_EQ(json_number(1234567, 15), "1234567");
  EXPECT_EQ(json_number(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(json_number(std::numeric_limits<double>::quiet_NaN()), "null");
}

TEST(MarkupTest, NumbersForPeople) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-1234), "-1,234");
  EXPECT_EQ(duration(12.4), "12 s");
  EXPECT_EQ(duration(200), "3 min 20 s");
  EXPECT_EQ(duration(3720), "1 h 02 min");
  EXPECT_EQ(duration(200'000), "2 d 07 h");
}

TEST(ConfigListingTest, LinesKnowTheirKeys) {
  const std::string html = config_html("parallel:\n  tensor: 2\n\nrun:\n  name: a<b\n");
  EXPECT_NE(html.find("<span class=\"section\" data-path=\"parallel\""), std::string::npos) << html;
  EXPECT_NE(html.find("data-path=\"parallel.tensor\" data-section=\"parallel\">  tensor: 2"),
            std::string::npos)
      << html;
  EXPECT_NE(html.find("name: a&lt;b"), std::string::npos) << html;
}

TEST(ConfigListingTest, WhatIsNoConfigIsShownBounded) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "\"><script>\n";
  const std::string html = config_html(text + std::string(1'000'000, 'x'));
  EXPECT_LT(html.size(), 1'000'000U);
  EXPECT_EQ(html.find("<script>"), std::string::npos);
  EXPECT_NE(html.find("Cut after 4,000 lines"), std::string::npos);
}

}  // namespace
}  // namespace cloze
