import { operations } from '../../../../../test-support/operations.ts';
import { trigonometryCases } from './trigonometry.cases.ts';

operations('trigonometry', trigonometryCases);
