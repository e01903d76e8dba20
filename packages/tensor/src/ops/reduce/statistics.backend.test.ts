import { operations } from '../../../../../test-support/operations.ts';
import { statisticsCases } from './statistics.cases.ts';

operations('statistics', statisticsCases);
