#!/usr/bin/env python3
"""The tidy test: tests/tidy/tidy_test.py [ROOT]. First it tests itself."""

import os
import sys
import unittest

import rules
import source

HERE = os.path.dirname(os.path.abspath(__file__))


class FakeTree:
    root = HERE

    def __init__(self, files, readme=''):
        self.files = files
        self.readme = readme
        self.alerts = ''

    def golden(self):
        return self.alerts

    def read(self, path):
        assert path == 'README.md'
        return self.readme


def found(rule, files, readme=''):
    return [(path, line) for path, line, _ in rule(FakeTree(files, readme))]


class StripTest(unittest.TestCase):
    def test_keeps_code_and_newlines(self):
        text = 'int a; // {\n/* }\n*/ char b = \'{\'; auto c = "\\"{"; int d = 1\'000;\n'
        stripped = source.strip(text)
        self.assertEqual(stripped.count('\n'), text.count('\n'))
        self.assertNotIn('{', stripped)
        self.assertNotIn('}', stripped)
        self.assertIn("1'000;", stripped)

    def test_raw_strings(self):
        self.assertNotIn('{', source.strip('a = R"({"x"})"; b = R"x({)")x";'))


class FunctionsTest(unittest.TestCase):
    def lengths(self, text):
        return [(f.name, f.line, f.lines) for f in source.functions(text)]

    def test_free_function_and_method(self):
        self.assertEqual(
            self.lengths('namespace a {\nint F(int x) {\n  if (x) {\n    y();\n  }\n}\n'
                         'class C {\n  int m() const { return 1; }\n};\n}\n'),
            [('F', 2, 5), ('m', 8, 1)])

    def test_signature_over_lines_counts(self):
        self.assertEqual(self.lengths('int Foo(int a,\n        int b) {\n  return a;\n}\n'),
                         [('Foo', 1, 4)])

    def test_constructor_with_brace_initializers(self):
        self.assertEqual(
            self.lengths('C::C(int a)\n    : a_(a), b_{a} {\n  F();\n}\nvoid G() {\n}\n'),
            [('C::C', 1, 4), ('G', 5, 2)])

    def test_tables_and_types_are_no_functions(self):
        self.assertEqual(
            self.lengths('constexpr std::array<int, 2> kA = {{\n  F(1),\n  2,\n}};\n'
                         'struct alignas(8) S {\n  int x = F();\n};\n'
                         'enum class E {\n  kA,\n};\nconst S kS{F()};\n'), [])

    def test_template_is_a_function(self):
        self.assertEqual(self.lengths('template <class T>\nvoid F(T t) {\n  t({1, 2});\n}\n'),
                         [('F', 1, 4)])

    def test_lambda_belongs_to_its_function(self):
        self.assertEqual(
            self.lengths('void F() {\n  auto g = [](int x) {\n    return x;\n  };\n  g(1);\n}\n'),
            [('F', 1, 6)])

    def test_macros_do_not_confuse(self):
        self.assertEqual(self.lengths('#define A(x) \\\n  if (x) {\nvoid F() {\n}\n'),
                         [('F', 3, 2)])

    def test_test_macro_is_a_function(self):
        self.assertEqual(self.lengths('TEST(Table, Evicts) {\n  F();\n}\n'), [('TEST', 1, 3)])


class RulesTest(unittest.TestCase):
    def test_layering(self):
        self.assertEqual(
            found(rules.layering, {
                'event/a.cc': '#include "event/a.h"\n#include "ingest/source.h"\n',
                'sinks/a.cc': '#include "detectors/alert.h"\n#include "detectors/table.h"\n',
                'app/a.cc': '#include "pipeline/scan.h"\n#include "absl/status/status.h"\n',
                'tests/a.cc': '#include "bench/traffic.h"\n'}),
            [('event/a.cc', 2), ('sinks/a.cc', 2)])

    def test_banned_calls(self):
        self.assertEqual(
            found(rules.banned_calls, {
                'event/a.cc': '// strcpy(a, b)\nstrcpy(a, b);\nfoo.rand();\n"rand()";\n'
                              'int x = rand();\nusing namespace std;\n',
                'pipeline/a.cc': 'auto now = std::chrono::system_clock::now();\n',
                'app/a.cc': 'std::cout << time(nullptr);\n',
                'ingest/a.cc': 'std::cerr << 1;\nstd::thread t;\n'}),
            [('event/a.cc', 2), ('event/a.cc', 5), ('event/a.cc', 6), ('pipeline/a.cc', 1),
             ('ingest/a.cc', 1), ('ingest/a.cc', 2)])

    def test_function_length(self):
        def body(lines):
            return 'void F() {\n' + '  G();\n' * (lines - 2) + '}\n'

        self.assertEqual(found(rules.function_length, {'event/a.cc': body(70)}), [])
        self.assertEqual(found(rules.function_length, {'event/a.cc': body(71)}),
                         [('event/a.cc', 1)])

    def test_ratchet_only_goes_down(self):
        rules.LONGER_FUNCTIONS['event/a.cc:F'] = 80
        try:
            files = {'event/a.cc': 'void F() {\n' + '  G();\n' * 76 + '}\n'}
            self.assertEqual(found(rules.function_length, files), [('event/a.cc', 1)])
            self.assertEqual(found(rules.function_length, {}), [('event/a.cc', 1)])
        finally:
            del rules.LONGER_FUNCTIONS['event/a.cc:F']

    def test_todo(self):
        self.assertEqual(
            found(rules.todo_has_a_name, {
                'event/a.cc': '// TODO(ada): later, #3\n// TODO: later\nint todo;\n/* FIXME */\n'}),
            [('event/a.cc', 2), ('event/a.cc', 4)])

    def test_pragma_once(self):
        self.assertEqual(
            found(rules.pragma_once, {'event/a.h': '// A.\n#pragma once\n',
                                      'event/b.h': '// B.\n#include <x>\n#pragma once\n'}),
            [('event/b.h', 1)])

    def test_file_names(self):
        self.assertEqual(
            [path for path, _ in found(rules.file_names, {
                'event/string_util.h': '', 'app/common/a.cc': '', 'event/utility_time.h': '',
                'ingest/helpers.cc': '', 'event/time.h': ''})],
            ['event/string_util.h', 'app/common/a.cc', 'ingest/helpers.cc'])

    def test_readme_rows(self):
        files = {'detectors/old_certificate.cc': 'new DetectorInfo{\n    .name = kName,'}
        self.assertEqual(found(rules.readme_rows, files, '| `old-certificate` | x |\n'), [])
        self.assertEqual(found(rules.readme_rows, files, '| other | old-certificate |\n'),
                         [('README.md', 1)])
        self.assertEqual(found(rules.readme_rows, {}, ''), [('detectors', 1)])

    def test_detector_files(self):
        named = 'kName = "a-b"; DetectorInfo{.name = kName'
        self.assertEqual(
            found(rules.detector_files, {'detectors/a_b.cc': named, 'detectors/a_b.h': ''}), [])
        self.assertEqual(found(rules.detector_files, {'detectors/a_b.cc': named}),
                         [('detectors/a_b.h', 1)])
        self.assertEqual(found(rules.detector_files, {'detectors/b.cc': named,
                                                      'detectors/b.h': ''}),
                         [('detectors/b.cc', 1)])

    def test_golden_rules(self):
        files = {'detectors/a.cc': 'DetectorInfo{.name = kName,\n.rules = {{"x", "low", "y"},\n'
                                   '{"z_z",\n"low"}},\n.options = {{"o", 1}}'}
        tree = FakeTree(files)
        tree.alerts = '{"detector":"a","rule":"x"}\n{"detector":"b","rule":"z_z"}\n'
        self.assertEqual([line for _, line, _ in rules.golden_rules(tree)], [3])


def check(root):
    tree = rules.Tree(root)
    problems = ['%s:%d: %s [%s]' % (path, line, message, rule.__name__)
                for rule in rules.ALL for path, line, message in rule(tree)]
    if not tree.files:
        problems.append(root + ': no sources')
    for problem in problems:
        print(problem)
    print('tidy: %d files, %d rules, %d problems' %
          (len(tree.files), len(rules.ALL), len(problems)))
    return not problems


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(HERE))
    result = unittest.main(argv=[sys.argv[0]], exit=False).result
    return 0 if check(root) and result.wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main())
