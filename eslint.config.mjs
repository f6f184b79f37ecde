import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const NEST_CLASSES = {
  // Nest modules are empty classes under a decorator.
  '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
  '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
};

const PRACTICAL = {
  '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
  '@typescript-eslint/no-confusing-void-expression': [
    'error',
    { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
  ],
  // Signals, maps and other state change while a function waits; the rule does not know.
  '@typescript-eslint/no-unnecessary-condition': 'off',
  // A type that is named once in a signature is often what a caller is told.
  '@typescript-eslint/no-unnecessary-type-parameters': 'off',
  // TypeScript's own noUnusedLocals and noUnusedParameters do this.
  '@typescript-eslint/no-unused-vars': 'off',
  // Nest and ports promise where some implementations have nothing to wait for.
  '@typescript-eslint/require-await': 'off',
  eqeqeq: ['error', 'always', { null: 'ignore' }],
  'prefer-const': 'error',
  'no-var': 'error',
};

// max-params cannot tell constructors, which take what Nest injects, from functions.
const FEW_PARAMETERS = [
  'FunctionDeclaration[params.length>3]',
  'ArrowFunctionExpression[params.length>3]',
  'MethodDefinition[kind!="constructor"] > FunctionExpression[params.length>3]',
  'MethodDefinition[kind="constructor"] > FunctionExpression[params.length>5]',
].map((selector) => ({ selector, message: 'Too many parameters: pass one options object.' }));

export default defineConfig(
  globalIgnores(['**/dist/', '**/node_modules/', 'coverage/', '.data/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    // Not the project service: the samples' own configurations need a built library.
    languageOptions: { parserOptions: { project: 'tsconfig.json', tsconfigRootDir: import.meta.dirname } },
  },
  {
    files: ['lib/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    rules: {
      ...NEST_CLASSES,
      ...PRACTICAL,
      complexity: ['error', 12],
      'max-lines': ['error', { max: 400, skipBlankLines: false, skipComments: false }],
      'max-lines-per-function': ['error', { max: 60 }],
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'MetaProperty[meta.name="import"]',
          message: 'import.meta does not exist in the CommonJS build.',
        },
        ...FEW_PARAMETERS,
      ],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'exit', message: 'A library never ends the process.' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'sample/**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    rules: {
      ...NEST_CLASSES,
      ...PRACTICAL,
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/unbound-method': 'off',
      // Raw queries of TypeORM are `any`.
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
);
