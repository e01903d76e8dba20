import { operations } from '../../../../../test-support/operations.ts';
import { rectifiersCases } from './rectifiers.cases.ts';

operations('rectifiers', rectifiersCases);
