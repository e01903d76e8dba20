import { operations } from '../../../../test-support/operations.ts';
import { lossesCases } from './losses.cases.ts';

operations('losses', lossesCases);
